"""The columns of a run table, and the names that people's files give them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from isogloss.errors import InputError, unknown_name
from isogloss.units import LossUnit

SHARE, UNIQUE = "share:", "unique:"

Domain = Literal["text", "positive", "non-negative", "count", "finite", "any"]


@dataclass(frozen=True)
class Column:
    """`symbol` is the field's letter; `aliases` run from the most to the least specific name that files
    use."""

    name: str
    domain: Domain
    aliases: tuple[str, ...] = ()
    symbol: str = ""


# A column's own name outranks its aliases, except for `loss`: trainers log the training loss under that
# name and the validation loss, which laws describe, under a longer one.
COLUMNS: tuple[Column, ...] = (
    Column("run_id", "text", ("run", "run_name", "id", "name")),
    Column("target", "text", ("eval_language", "target_language", "language", "lang")),
    Column(
        "params_total",
        "positive",
        (
            *("total_params", "total_parameters", "n_params_total"),
            *("model_params", "parameter_count", "num_parameters", "num_params", "n_parameters", "n_params"),
            *("parameters", "params", "model_size", "N"),
        ),
        symbol="N",
    ),
    Column(
        "params_non_embedding",
        "positive",
        (
            *("non_embedding_params", "non_embedding_parameters", "params_non_emb", "non_emb_params"),
            *("n_params_non_embedding", "n_non_embedding", "n_non_emb"),
        ),
    ),
    Column(
        "tokens",
        "positive",
        ("tokens_seen", "train_tokens", "training_tokens", "total_tokens", "n_tokens", "num_tokens", "D"),
        symbol="D",
    ),
    Column(
        "flops",
        "positive",
        (
            "training_flops",
            "training_flop",
            "train_flops",
            "total_flops",
            "total_flos",
            "flop",
            "compute",
            "C",
        ),
        symbol="C",
    ),
    Column("unique_tokens", "positive", ("n_unique_tokens", "n_unique", "U"), symbol="U"),
    Column(
        "loss",
        "positive",
        (
            *("val_loss", "validation_loss", "eval_loss", "test_loss", "final_loss", "loss"),
            *("bpb", "bits_per_byte", "val_bpb", "eval_bpb", "test_bpb"),
        ),
    ),
    Column("stderr", "non-negative", ("loss_stderr", "std_err", "standard_error", "se")),
    Column("lr_phase", "text", ("learning_rate_phase", "phase")),
    Column("status", "text", ("run_status", "run_state", "state")),
    Column("seed", "any", ("random_seed",)),
    Column("schedule", "text", ("lr_schedule", "lr_scheduler")),
    Column("tokenizer", "text", ("tokeniser",)),
    Column("target_tokens", "non-negative"),
    Column("batch_tokens", "positive", ("tokens_per_batch", "batch_size_tokens")),
    Column("context_length", "count", ("sequence_length", "seq_len", "seq_length", "max_seq_len", "block_size")),
    Column("vocab_size", "count", ("vocabulary_size", "n_vocab")),
    Column("init", "text", ("initialisation", "initialization", "init_from")),
    Column("flops_per_token", "positive"),
    Column("notes", "text", ("note", "comment", "comments")),
)
BY_NAME: Mapping[str, Column] = {column.name: column for column in COLUMNS}
CANONICAL: tuple[str, ...] = ("row", *BY_NAME)

# Read from a file and then dissolved into the table: into its unit, and into the share columns.
_DISSOLVED = (
    Column("unit", "text", ("units", "loss_unit")),
    Column("mixture", "text", ("shares", "mix", "mixture_weights", "proportions")),
)

_BITS_PER_BYTE = re.compile(r"(^|[^a-z])(bpb|bits_?per_?byte)$", re.IGNORECASE)


def fold(name: str) -> str:
    """The form in which column names are compared: no case, no spaces, none of - _ . /"""
    return re.sub(r"[-_\s./]+", "", name).casefold()


def _ranked(column: Column) -> list[str]:
    return [fold(n) for n in (column.aliases if column.name in column.aliases else (column.name, *column.aliases))]


_RANKS: dict[str, dict[str, int]] = {
    column.name: {key: rank for rank, key in enumerate(_ranked(column))} for column in (*COLUMNS, *_DISSOLVED)
}
_MEANING: dict[str, str] = {key: name for name, ranks in _RANKS.items() for key in ranks}


def meaning(name: str) -> str | None:
    """The canonical name behind a file's column name or a symbol, if it is one that isogloss knows."""
    return _MEANING.get(fold(name))


def accepted_names(name: str) -> tuple[str, ...]:
    column = BY_NAME[name]
    return tuple(dict.fromkeys((name, *column.aliases)))


def unit_in_name(name: str) -> LossUnit | None:
    """The unit that a loss column states in its own name."""
    return "bits/byte" if _BITS_PER_BYTE.search(name) else None


@dataclass(frozen=True)
class Naming:
    """Which column of the file became which column of the table, and what to tell the user about it."""

    names: Mapping[str, str]
    notes: tuple[str, ...]

    def in_file(self, name: str) -> str:
        """The user's own name of a column of the table, for messages."""
        return next((own for own, canonical in self.names.items() if canonical == name), name)

    def renamed(self, renames: Mapping[str, str]) -> Naming:
        return Naming({own: renames.get(name, name) for own, name in self.names.items()}, self.notes)


def name_columns(own: Iterable[str], explicit: Mapping[str, str], unit: LossUnit | None, *, source: str) -> Naming:
    """Give every column of a file its name in the table. `explicit` maps a canonical name or symbol to a
    column."""
    own = list(own)
    names = _explicit_names(own, explicit, source)
    notes: list[str] = []
    for canonical in _RANKS:
        rank = _rank_in(canonical, unit)
        claims = [c for c in own if c not in names and meaning(c) == canonical]
        claims.sort(key=lambda c: (rank(c), c != canonical))
        winner = next((c for c, n in names.items() if n == canonical), None)
        if winner is None and claims:
            winner = claims.pop(0)
            names[winner] = canonical
        for loser in claims:
            names[loser] = _name_of_loser(loser, canonical, own)
            notes.append(_conflict(winner, loser, canonical, names[loser]))
    if names.get("row", "row") == "row" and "row" in own:
        names["row"] = fresh_name("row", own)
        notes.append(f"your column 'row' is kept as {names['row']!r}, because 'row' numbers the data rows.")
    notes += _embedding_note(names, explicit)
    repeated = [name for name, count in Counter(names.get(c, c) for c in own).items() if count > 1]
    if repeated:
        claims = [c for c in own if names.get(c, c) == repeated[0]]
        what = f"columns {' and '.join(map(repr, claims))} both mean {repeated[0]}"
        raise InputError(what, where=source, hint="Keep one, or rename one of them.")
    return Naming({name: names.get(name, name) for name in own}, tuple(notes))


def _explicit_names(own: list[str], explicit: Mapping[str, str], source: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for key, column in explicit.items():
        canonical = key if key.startswith((SHARE, UNIQUE)) else meaning(key)
        if canonical is None:
            known = [*BY_NAME, *(c.symbol for c in COLUMNS if c.symbol)]
            raise unknown_name("column meaning", key, known, where="columns")
        if column not in own:
            raise unknown_name("column", column, own, where=f"{source}, columns[{key!r}]")
        if column in names or canonical in names.values():
            what = f"{key!r} -> {column!r} says twice what {canonical} is or what {column!r} means"
            raise InputError(what, where="columns", hint="Name each column once.")
        names[column] = canonical
    return names


def _rank_in(canonical: str, unit: LossUnit | None) -> Callable[[str], tuple[bool, int]]:
    """How specific a column name is, lower first; a loss in the unit that was asked for comes before all
    others."""

    def rank(name: str) -> tuple[bool, int]:
        says_bits = unit_in_name(name) == "bits/byte"
        mismatch = canonical == "loss" and unit is not None and says_bits != (unit == "bits/byte")
        return mismatch, _RANKS[canonical][fold(name)]

    return rank


def _name_of_loser(name: str, canonical: str, own: list[str]) -> str:
    """Its own name, unless under that name it would win when a written table is read again."""
    ranks = _RANKS[canonical]
    return fresh_name(name, own) if ranks[fold(name)] <= ranks[fold(canonical)] else name


def fresh_name(name: str, own: Collection[str]) -> str:
    """A name for a column of the user's whose own name means something else in the table."""
    candidate = f"{name}_in_file"
    while candidate in own:
        candidate += "_"
    return candidate


def _conflict(winner: str | None, loser: str, canonical: str, kept_as: str) -> str:
    kept = "as a column of its own" if kept_as == loser else f"as {kept_as!r}"
    used = f"{winner!r} is used, {loser!r} is kept {kept}."
    return f"columns {winner!r} and {loser!r} both say {canonical}: {used}"


def _embedding_note(names: Mapping[str, str], explicit: Mapping[str, str]) -> list[str]:
    chosen = next((own for own, canonical in names.items() if canonical == "params_total"), None)
    if chosen is None or "total" in fold(chosen) or "params_total" in explicit:
        return []
    return [f"column {chosen!r} does not say whether embeddings are counted; taken as total parameters."]
