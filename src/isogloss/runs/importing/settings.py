"""Columns of runs.parquet and exposure.parquet out of a run's settings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from collections.abc import Mapping as AnyMapping
from typing import Any

from isogloss.runs.importing.expressions import Product, number
from isogloss.runs.importing.mapping import COUNTS, NUMBERS, TEXTS, FromName, Mapping, TextFrom, Value
from isogloss.runs.importing.names import NamePattern
from isogloss.runs.importing.patterns import LANGUAGE, Namer, Pattern

Settings = AnyMapping[str, Any]

WHOLE = frozenset({"params_total", "params_non_embedding", "batch_tokens", *COUNTS})
_MIXTURE = ("share", "realised_share", "tokens", "unique_tokens")


def first_number(forms: Iterable[str] | None, settings: Settings) -> float | None:
    """The first of several products whose settings are all there."""
    for form in forms or ():
        value = Product(form).value(settings)
        if value is not None:
            return value
    return None


def text_of(wanted: TextFrom | None, settings: Settings) -> str | None:
    if wanted is None:
        return None
    if isinstance(wanted, Value):
        return str(wanted.value)
    value = next((settings[key] for key in wanted if settings.get(key) not in (None, "")), None)
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)


def run_columns(mapping: Mapping, settings: Settings, run_name: str = "") -> dict[str, Any]:
    """Every column that the mapping may name, None where the run does not say it."""
    row: dict[str, Any] = {}
    for name in (*NUMBERS, *COUNTS):
        wanted = getattr(mapping.run, name)
        if isinstance(wanted, FromName):
            value = NamePattern(wanted.name).size(run_name)
        else:
            value = first_number(wanted, settings)
        row[name] = round(value) if value is not None and name in WHOLE else value
    row |= {name: text_of(getattr(mapping.run, name), settings) for name in TEXTS}
    return row | {name: text_of(wanted, settings) for name, wanted in mapping.extra.items()}


def exposure_rows(mapping: Mapping, settings: Settings, namer: Namer, notes: list[str]) -> list[dict[str, Any]]:
    """One row per language that the mixture names."""
    found = {name: _by_language(getattr(mapping.mixture, name), settings, namer, notes) for name in _MIXTURE}
    if mapping.mixture.normalise and (total := math.fsum(found["share"].values())) > 0:
        found["share"] = {code: share / total for code, share in found["share"].items()}
    languages = dict.fromkeys(code for values in found.values() for code in values)
    rows: list[dict[str, Any]] = []
    for code in languages:
        row: dict[str, Any] = {"language": code, **{name: found[name].get(code) for name in _MIXTURE}}
        if row["share"] is None and found["share"]:
            row["share"] = 0.0
        seen, unique = row["tokens"], row["unique_tokens"]
        rows.append(row | {"epochs": seen / unique if seen is not None and unique else None})
    return rows


def used_settings(mapping: Mapping, settings: Settings) -> set[str]:
    """Settings of a run that the mapping reads."""
    used: set[str] = set()
    numbers = (mapping.tokens.scale, mapping.tokens.per_step, mapping.tokens.total)
    for form in (*numbers, *(getattr(mapping.run, name) for name in (*NUMBERS, *COUNTS))):
        used |= {key for text in form or () if isinstance(form, list) for key in Product(text).keys(settings)}
    for wanted in (*(getattr(mapping.run, name) for name in TEXTS), *mapping.extra.values()):
        used |= set(wanted) if isinstance(wanted, list) else set()
    used |= {loss.language_from for loss in mapping.losses.values() if loss.language_from}
    for key in (getattr(mapping.mixture, name) for name in _MIXTURE):
        forms = [Pattern(key), Pattern(f"{key}.{{language}}")] if key and LANGUAGE not in key else [Pattern(key or "")]
        used |= {name for name in settings for form in forms if name == form.text or form.language(name) is not None}
    return used & settings.keys()


def _by_language(key: str | None, settings: Settings, namer: Namer, notes: list[str]) -> dict[str, float]:
    out: dict[str, float] = {}
    for name, value in _entries(key, settings).items():
        found = amount(value)
        code = namer.code(name)
        if found is None or code is None:
            notes.append(f"{key}: {name} = {value!r} is no {'number' if found is None else 'language'}")
        elif code in out:
            notes.append(f"{key}: {name} is added to what is there of {code}")
            out[code] += found
        else:
            out[code] = found
    return out


def _entries(key: str | None, settings: Settings) -> AnyMapping[str, Any]:
    """A pattern's settings, a table's, those under "key.", or a JSON text's."""
    if key is None:
        return {}
    if not (pattern := Pattern(key)).many:
        value = settings.get(key)
        if isinstance(value, str):
            value = _from_json(value)
        if isinstance(value, AnyMapping):
            return value
        pattern = Pattern(f"{key}.{{language}}")
    return {language: v for name, v in settings.items() if (language := pattern.language(name)) is not None}


def _from_json(text: str) -> Any:
    # MLflow keeps a dictionary as Python writes it, with single quotes.
    for form in (text, text.replace("'", '"')):
        try:
            return json.loads(form)
        except ValueError:
            continue
    return None


def amount(value: Any) -> float | None:
    """A setting as a number that is not negative."""
    if isinstance(value, bool):
        return None
    try:
        plain = float(value)
    except (TypeError, ValueError):
        return number(value)
    return plain if math.isfinite(plain) and plain >= 0 else None
