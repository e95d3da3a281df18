"""Open multilingual checkpoints that one may continue from, and the user's own."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from isogloss import languages as _languages
from isogloss.errors import InputError, unknown_name
from isogloss.units import parse_quantity

KEYS = ("name", "params", "tokens", "mixture", "tokenizer")
SAME = "same"


@dataclass(frozen=True)
class Checkpoint:
    """A pretrained model. None where a number is not published."""

    name: str
    params: float
    """Total parameters, embeddings included."""
    tokens: float | None
    """Tokens that it was trained on, repeats counted."""
    languages: int | None
    """Languages that its makers name."""
    vocab_size: int | None
    mixture: Mapping[str, float]
    """Shares of the training tokens by language code, those that are known."""
    same_tokenizer: bool
    """Whether the run from scratch would use the checkpoint's tokenizer."""
    source: str

    def share(self, code: str) -> float | None:
        """Share of a language in what it was trained on `(0 to 1)`; None: not known."""
        return self.mixture.get(code)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "params": self.params,
            "tokens": self.tokens,
            "languages": self.languages,
            "vocab_size": self.vocab_size,
            "mixture": dict(self.mixture),
            "same_tokenizer": self.same_tokenizer,
            "source": self.source,
        }


@cache
def checkpoints() -> tuple[Checkpoint, ...]:
    """The packaged catalogue, by family and size; each entry with its source."""
    shares: dict[str, dict[str, float]] = {}
    for row in _rows("checkpoint_shares.csv"):
        shares.setdefault(row["family"], {})[row["language"]] = float(row["share"])
    return tuple(
        Checkpoint(
            name=row["name"],
            params=float(row["params"]),
            tokens=float(row["tokens"]) if row["tokens"] else None,
            languages=int(row["languages"]) if row["languages"] else None,
            vocab_size=int(row["vocab_size"]) if row["vocab_size"] else None,
            mixture=shares.get(row["family"], {}),
            same_tokenizer=False,
            source=row["source"],
        )
        for row in _rows("checkpoints.csv")
    )


def find_checkpoint(name: str) -> Checkpoint:
    """The catalogue's entry of this name, as "gemma-3-1b" or "google/gemma-3-1b-pt". InputError with near misses."""
    known = {entry.name: entry for entry in checkpoints()}
    wanted = name.strip().casefold().rsplit("/", 1)[-1].removesuffix("-pt").removesuffix("-base")
    if wanted in known:
        return known[wanted]
    see = "isogloss crossover --list names them all; or give your own: params, tokens, mixture, tokenizer."
    raise unknown_name("checkpoint", name, known, where="checkpoint", see=see)


def as_checkpoint(given: Checkpoint | Mapping[str, Any] | str, code: str) -> Checkpoint:
    """A checkpoint by name, or the user's own by the keys `params`, `tokens`, `mixture`, `tokenizer` and `name`.

    Without `params`, `name` is the catalogue's, and the other keys take the place of what it says. `mixture` is the
    share of the language `code`, or shares by language; `tokenizer` is "same" where the run from scratch would have
    the checkpoint's own. What is not given counts as not known. Raises InputError for other keys and for values that
    are none.
    """
    if isinstance(given, Checkpoint):
        return given
    if isinstance(given, str):
        return find_checkpoint(given)
    for key in given:
        if key not in KEYS:
            raise unknown_name("key", key, KEYS, where="checkpoint")
    tokens = given.get("tokens")
    if "params" not in given:
        return _changed(given, tokens, code)
    return Checkpoint(
        name=str(given.get("name", "your checkpoint")),
        params=parse_quantity(given["params"], "parameters", where="checkpoint, params"),
        tokens=None if tokens is None else parse_quantity(tokens, "tokens", where="checkpoint, tokens"),
        languages=None,
        vocab_size=None,
        mixture=_mixture(given.get("mixture"), code),
        same_tokenizer=given.get("tokenizer") == SAME,
        source="given",
    )


def _changed(given: Mapping[str, Any], tokens: Any, code: str) -> Checkpoint:
    """The catalogue's entry with what the user knows better."""
    if "name" not in given:
        raise InputError("neither params nor a name", where="checkpoint", hint='Give its size: params = "2B".')
    known = find_checkpoint(str(given["name"]))
    return replace(
        known,
        tokens=known.tokens if tokens is None else parse_quantity(tokens, "tokens", where="checkpoint, tokens"),
        mixture={**known.mixture, **_mixture(given.get("mixture"), code)},
        same_tokenizer=given.get("tokenizer") == SAME,
        source="given" if {"tokens", "mixture"} & set(given) else known.source,
    )


def _mixture(given: Any, code: str) -> dict[str, float]:
    if given is None:
        return {}
    shares = given if isinstance(given, Mapping) else {code: given}
    out = {}
    for name, value in shares.items():
        place = f"checkpoint, mixture, {name}"
        try:
            share = float(value)
        except (TypeError, ValueError):
            raise InputError(f"{value!r} is not a share", where=place, hint="Write 0.02 for 2 %.") from None
        if not 0 <= share <= 1:
            raise InputError(f"{value!r} is not a share from 0 to 1", where=place, hint="Write 0.02 for 2 %.")
        out[_languages.resolve(str(name))] = share
    if sum(out.values()) > 1 + 1e-6:
        raise InputError(f"the shares add up to {sum(out.values()):.3g}", where="checkpoint, mixture")
    return out


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("isogloss.planning").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
