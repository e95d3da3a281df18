"""Controls that several pages have: languages, compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import streamlit as st

from isogloss import languages as _languages
from isogloss.planning.hardware import accelerators
from isogloss.report.words import flops as flops_words
from isogloss.web.links import brief
from isogloss.web.questions import MOST_LANGUAGES

LEAST_FLOPS, MOST_FLOPS = 1e17, 1e28
GPU, UTILISATION = "H100", 0.4


@cache
def all_codes() -> tuple[str, ...]:
    """Most text first."""
    return tuple(entry.code for entry in _languages.all_languages())


@cache
def named(code: str) -> str:
    return f"{_languages.get(code).short_name.removeprefix('Standard ')} · {brief(code)}"


def languages(label: str, key: str, *, most: int = MOST_LANGUAGES, extra: Sequence[str] = ()) -> list[str]:
    """Chosen by search over names and codes."""
    # A private code such as qaa_Latn is no row of the table.
    options = [*all_codes(), *(c for c in extra if c not in set(all_codes()))]
    return st.multiselect(
        label,
        options,
        key=key,
        format_func=named,
        max_selections=most,
        filter_mode="contains",
        select_all=False,
        placeholder="Name or code",
    )


def pick(label: str, key: str, options: Mapping[str, str], **more: Any) -> str:
    """One of several names, each shown as its words."""
    return str(st.selectbox(label, list(options), key=key, format_func=lambda name: options.get(name) or name, **more))


def language(label: str, key: str, options: Sequence[str]) -> str:
    return st.selectbox(label, options, key=key, format_func=named, filter_mode="contains")


def compute(label: str, key: str, now: float, *, low: float = 1e18, high: float = 1e27) -> float:
    """Training FLOPs on a logarithmic slider, ten steps a decade, and any value that a link or a question has."""
    steps = [float(f"{c:.2g}") for c in np.geomspace(low, high, round(10 * np.log10(high / low)) + 1)]
    options = sorted({*steps, now})
    chosen = st.select_slider(label, options, key=key, format_func=flops_words)
    return float(chosen)


def hours(flops: float) -> str:
    """The compute as time on usual machines, in words."""
    peak = accelerators()[GPU].peak_flops
    of_one = flops / (peak * UTILISATION * 3600)
    if of_one < 48:
        return f"≈ {of_one:,.2g} hours of one {GPU} at {UTILISATION:.0%}"
    gpus = min((8**k for k in range(1, 7)), key=lambda g: abs(np.log(of_one / g / 24 / 20)))
    days = of_one / gpus / 24
    told = f"{float(f'{of_one:.2g}'):,.0f}" if of_one < 1e6 else f"{of_one / 1e6:,.3g} million"
    return f"≈ {told} {GPU}-hours at {UTILISATION:.0%}: {gpus:,} of them for {float(f'{days:.2g}'):,g} days"
