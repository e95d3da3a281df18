"""docs/first-study.md: the numbers of the answers put into the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from isogloss import languages
from isogloss.report.words import flops, quantity
from isogloss.transfer.features import MEANINGS

# How many scores are shown from either end.
SHOWN = 10


def page(template: Path, answers: Mapping[str, Mapping[str, Any]], figures: Path) -> str:
    """`template` filled. A number that no question has answered is an error, and not a gap."""

    def figure(question: str, card: str, words: str) -> str:
        found = figures / question / f"{card}.svg"
        if not found.exists():
            raise LookupError(f"{found} is not there")
        return f"![{words}](images/{figures.name}/{question}/{found.name})"

    environment = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    environment.filters |= {
        "quantity": quantity,
        "about": about,
        "language": _name,
        "bits": bits,
        "score": r2,
        "from": lambda key, of: of[key],
    }
    environment.globals |= {
        "name": _name,
        "row": row,
        "quantity": quantity,
        "about": about,
        "flops": flops,
        "percent": percent,
        "signed": signed,
        "r2": r2,
        "bits": bits,
        "extremes": extremes,
        "scored": scored,
        "times": times,
        "scattered": scattered,
        "factor": factor,
        "feature": feature,
        "share": lambda value: "-" if value is None else percent(value),
        "inside": _range(answers["confirmed"], "inside_with_noise", without=("look-up",)),
        "reach": _reach(answers["ladder"], ("family", "k-law")),
        "forms_reach": _reach(answers["ladder"], ("atlas-own", "atlas", "atlas-capacity", "atlas-equal")),
        "told": _range(answers["confirmed"], "median_error", without=("chinchilla", "data-constrained", "look-up")),
        "figure": figure,
    }
    return environment.from_string(template.read_text(encoding="utf-8")).render(answers)


def _name(code: str) -> str:
    return languages.get(code).short_name.removeprefix("Standard ")


def about(value: float) -> str:
    """Budgets are whole steps: 999,424 tokens are a million."""
    return quantity(float(f"{value:.2g}"))


def row(*cells: Any) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def signed(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:+.{digits}f}"


def bits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def r2(value: float | None) -> str:
    """Two digits; how far below zero a useless law is says nothing more."""
    return "-" if value is None else "< -10" if value < -10 else f"{value:.2f}"


def _range(confirmed: Mapping[str, Any], key: str, without: Sequence[str]) -> dict[str, float]:
    """Over laws, and over the largest size and the mixtures."""
    laws = [law for name, law in confirmed["laws"].items() if name not in without]
    values = [kind[key] for law in laws for kind in law.values()]
    return {"least": min(values), "most": max(values)}


def _reach(ladder: Mapping[str, Any], laws: Sequence[str]) -> dict[str, float]:
    """Median errors of laws that were fitted to the smallest models, of one language and of more."""
    found = [kind["median_error"] for law in laws for kind in ladder["rungs"][0]["laws"][law].values()]
    return {"least": min(found), "most": max(found)}


def scored(one: Mapping[str, Any]) -> tuple[str, str, str]:
    """Of a law's errors."""
    return percent(one["median_error"], 1), f"{signed(100 * one['bias'], 1)} %", percent(one["inside"])


def scattered(one: Mapping[str, Any]) -> tuple[str, ...]:
    """Of a law's errors and its intervals for single runs."""
    return (*scored(one), percent(one["half_width"], 1))


def factor(found: Sequence[float]) -> str:
    """With its interval, where that is to be seen."""
    value, low, high = found
    return f"{value:.2f}" if high - low < 0.01 * value else f"{value:.2f} ({low:.2g} to {high:.2g})"


def feature(name: str) -> str:
    """Of a pair, in words."""
    return MEANINGS.get(name, name)


def times(tax: Mapping[str, float | None]) -> str:
    """Of compute; or more than so many."""
    return f"{tax['times']:.2f}" if tax["times"] else f"> {tax['least']:.1f}"


def extremes(scores: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The pairs that help most, and those that help least."""
    ranked = sorted(scores, key=lambda one: -one["bts"])
    return ranked if len(ranked) <= 2 * SHOWN else [*ranked[:SHOWN], *ranked[-SHOWN:]]
