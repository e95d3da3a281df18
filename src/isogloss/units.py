"""Quantities and loss units: what people type, what it means, how it is shown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from isogloss.errors import InputError, unknown_name

if TYPE_CHECKING:
    import numpy as np

    Numeric = TypeVar("Numeric", float, np.ndarray)

Kind = Literal["count", "tokens", "flops", "bytes", "parameters"]

LN2 = math.log(2.0)

_DECIMAL = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_WORDS = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_SI = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18, "z": 1e21, "y": 1e24}
_BINARY = {"ki": 2.0**10, "mi": 2.0**20, "gi": 2.0**30, "ti": 2.0**40, "pi": 2.0**50}

_UNIT_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("token", "tokens", "tok"), "tokens"),
    **dict.fromkeys(("flop", "flops"), "flops"),
    **dict.fromkeys(("byte", "bytes"), "bytes"),
    **dict.fromkeys(("parameter", "parameters", "param", "params"), "parameters"),
}
_EXAMPLES: dict[Kind | None, str] = {
    None: "3e22, 10B tokens, 70M, 2.5 GB",
    "count": "1000, 70M, 1.3B, 3e22",
    "tokens": "10B tokens, 1.3T, 4e11",
    "flops": "3e22, 5.76e23 FLOPs, 12 ZFLOPs",
    "bytes": "2.5 GB, 300 MB, 6e9",
    "parameters": "70M, 1.3B parameters, 7e9",
}
_SHOWN: dict[Kind, str] = {"count": "a count", "flops": "FLOPs"}

_NUMBER = r"(?P<number>[+-]?(?:\d{1,3}(?:,\d{3})+|\d[\d_]*)?(?:\.\d*)?(?:[eE][+-]?\d+)?)"
_NOT_FINITE = re.compile(r"\s*[+-]?(nan|inf|infinity)\s*", re.IGNORECASE | re.ASCII)
_QUANTITY = re.compile(rf"\s*{_NUMBER}\s*(?P<unit>[A-Za-z][A-Za-z ]*?)?\s*", re.ASCII)


def parse_quantity(value: str | float, kind: Kind | None = None, *, where: str | None = None) -> float:
    """A positive, finite quantity as people write it: 3e22, "10B tokens", "1.3T", "2.5 GB".

    K, M, B and T are 1e3, 1e6, 1e9 and 1e12; GB and TB are decimal bytes, GiB binary. `kind` says what
    belongs here: another unit is refused, no unit is fine, and None accepts any. `where` names the place
    for the message.
    """
    if kind is not None and kind not in get_args(Kind):
        raise unknown_name("kind of quantity", kind, get_args(Kind))
    if isinstance(value, str):
        number = _parse_text(value, kind, where)
    elif isinstance(value, bool) or not hasattr(value, "__float__"):
        raise _refused(value, "is not a number", kind, where)
    else:
        number = float(value)
    if math.isnan(number):
        raise _refused(value, "is not a number", kind, where)
    if math.isinf(number):
        raise _refused(value, "is not finite", kind, where)
    if number <= 0:
        raise _refused(value, "is not positive", kind, where)
    return number


def _parse_text(text: str, kind: Kind | None, where: str | None) -> float:
    if _NOT_FINITE.fullmatch(text):
        return float(text)
    match = _QUANTITY.fullmatch(text)
    digits = match["number"].replace(",", "").replace("_", "") if match else ""
    try:
        number = float(digits if match else text)
    except ValueError:
        raise _refused(text, "is not a quantity", kind, where) from None
    if match is None or not match["unit"]:
        return number
    factor, found = _parse_unit(match["unit"], text, kind, where)
    if kind is not None and found is not None and found != kind:
        raise _refused(text, f"is in {found}, but {_SHOWN.get(kind, kind)} belongs here", kind, where)
    return number * factor


def _parse_unit(unit: str, text: str, kind: Kind | None, where: str | None) -> tuple[float, Kind | None]:
    """Factor and kind (None if the unit is a bare suffix) of what follows the number, such as "B tokens"."""
    words = unit.casefold().split()
    if kind == "bytes" and words == ["b"]:
        raise _refused(text, "may mean bytes or billions", kind, where)
    factor = 1.0
    if words[0] in _DECIMAL or words[0] in _WORDS:
        factor = (_DECIMAL | _WORDS)[words.pop(0)]
    if not words:
        return factor, None
    name = "".join(words) if words[0] in _SI or words[0] in _BINARY else " ".join(words)
    if name in _UNIT_KINDS:
        return factor, _UNIT_KINDS[name]
    # Prefixed units (GB, GiB, ZFLOPs); a decimal suffix in front of one ("2 B GB") means nothing.
    prefixed = re.fullmatch(r"(?P<prefix>[kmgtp]i?|[ezy])(?P<base>b|bytes?|flops?)", name)
    if factor == 1.0 and prefixed and not (prefixed["base"].startswith("flop") and "i" in prefixed["prefix"]):
        prefix = prefixed["prefix"]
        base: Kind = "flops" if prefixed["base"].startswith("flop") else "bytes"
        return (_SI | _BINARY)[prefix], base
    raise _refused(text, f"has the unknown unit {unit.strip()!r}", kind, where)


def _refused(value: object, why: str, kind: Kind | None, where: str | None) -> InputError:
    return InputError(f"{value!r} {why}", where=where, hint=f"Valid: {_EXAMPLES[kind]}.")


def format_quantity(number: float, kind: Kind = "count", *, digits: int = 3) -> str:
    """A short spelling that `parse_quantity` reads back to `digits` significant digits: 12.3B, 5.76e23
    FLOPs."""
    if kind == "flops":
        return f"{_scientific(number, digits)} FLOPs"
    suffixes = ("", " KB", " MB", " GB", " TB") if kind == "bytes" else ("", "K", "M", "B", "T")
    text = _suffixed(number, suffixes, digits)
    if kind == "bytes" and text[-1] != "B":
        return f"{text} bytes"
    return text if kind in ("count", "bytes") else f"{text} {kind}"


def _suffixed(number: float, suffixes: tuple[str, ...], digits: int) -> str:
    if not math.isfinite(number) or number == 0:
        return f"{number:g}"
    # Round first: 999.9e6 to three digits is 1B, not 1000M.
    rounded = float(f"{number:.{digits - 1}e}")
    power = max(0, math.floor(math.log10(abs(rounded)) / 3 + 1e-9))
    if power >= len(suffixes) or abs(rounded) < 1e-3:
        return _scientific(number, digits)
    scaled = rounded / 1000.0**power
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(scaled)) + 1e-9))
    text = f"{scaled:.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + suffixes[power]


def _scientific(number: float, digits: int) -> str:
    if not math.isfinite(number):
        return f"{number:g}"
    mantissa, exponent = f"{number:.{digits - 1}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def training_flops(N: Numeric, D: Numeric) -> Numeric:
    """C = 6 N D: forward and backward pass of a dense model with N parameters over D tokens, attention left
    out.
    Source: Kaplan et al. 2020, arXiv:2001.08361, section 2.1."""
    return 6.0 * N * D


LossUnit = Literal["nats/token", "bits/token", "nats/byte", "bits/byte", "unigram-normalised", "metric"]
LOSS_UNITS: tuple[LossUnit, ...] = get_args(LossUnit)

_LOSS_SPELLINGS: Mapping[str, LossUnit] = {
    "nat": "nats/token",
    "nats": "nats/token",
    "bits": "bits/token",
    "npt": "nats/token",
    "bpt": "bits/token",
    "npb": "nats/byte",
    "bpb": "bits/byte",
    "bits/utf8byte": "bits/byte",
    "unigramnormalized": "unigram-normalised",
    "unigramnormalised": "unigram-normalised",
    "vocabularyinsensitive": "unigram-normalised",
    "vocabinsensitive": "unigram-normalised",
}


def loss_unit(name: str, *, where: str | None = None) -> LossUnit:
    """The canonical loss unit for a spelling such as nats_per_token, "bits per byte", bpb,
    vocab-insensitive."""
    key = re.sub(r"[\s_-]+", " ", name.strip().casefold())
    key = re.sub(r"( per | ?/ ?)", "/", key).replace(" ", "")
    key = re.sub(r"^(nat|bit)s?/(token|byte)s?$", r"\1s/\2", key)
    for unit in LOSS_UNITS:
        if key == unit.replace("-", ""):
            return unit
    if key in _LOSS_SPELLINGS:
        return _LOSS_SPELLINGS[key]
    raise unknown_name("loss unit", name, [*LOSS_UNITS, "bpb"], where=where, see=f"Units: {', '.join(LOSS_UNITS)}.")


def nats_to_bits(nats: Numeric) -> Numeric:
    return nats / LN2


def bits_to_nats(bits: Numeric) -> Numeric:
    return bits * LN2


def bits_per_byte(nats_per_token: Numeric, bytes_per_token: Numeric) -> Numeric:
    """Loss that tokenizers and languages share: (nats/token) / (ln 2 x UTF-8 bytes per token of the same
    text)."""
    return nats_to_bits(nats_per_token) / bytes_per_token


def nats_per_token(bits_per_byte: Numeric, bytes_per_token: Numeric) -> Numeric:
    return bits_to_nats(bits_per_byte) * bytes_per_token
