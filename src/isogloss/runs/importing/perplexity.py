"""Perplexities as losses: the logarithm of one is the loss per token, or per byte, in nats."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from isogloss.errors import InputError, unknown_name
from isogloss.units import LOSS_UNITS, LossUnit, loss_unit

PERPLEXITIES: Mapping[str, LossUnit] = {"perplexity/token": "nats/token", "perplexity/byte": "nats/byte"}
UNITS = (*LOSS_UNITS, *PERPLEXITIES)

BELOW_ONE = "a perplexity below 1"
INFINITE = "an infinite perplexity"


def metric_unit(text: Any) -> str:
    """The unit of a metric in its canonical spelling: one of a loss, or of a perplexity. Raises InputError."""
    if not isinstance(text, str) or not text.strip():
        raise InputError("no unit", hint=f"Say which of {', '.join(UNITS)} it is.")
    key = re.sub(r"[\s_-]+per[\s_-]+|\s*/\s*", "/", text.strip().casefold()).replace("ppl", "perplexity")
    if key == "perplexity":
        return "perplexity/token"
    if key in PERPLEXITIES:
        return key
    if "perplexity" in key and "word" in key:
        what = f"{text!r}: a loss per word is in no unit that isogloss has"
        raise InputError(what, hint="Map the loss, or a perplexity per token.")
    try:
        return loss_unit(text)
    except InputError:
        raise unknown_name("loss unit", text, [*UNITS, "bpb"], see=f"Units: {', '.join(UNITS)}.") from None
