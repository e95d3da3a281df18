"""Rows that may share one loss curve: one target, mixture, learning-rate phase and configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from isogloss.errors import InputError, unknown_name
from isogloss.runs import RunTable
from isogloss.runs.columns import SHARE, UNIQUE
from isogloss.runs.lint import FLAGS
from isogloss.transfer.collapse import unusable
from isogloss.transfer.curves import Points

BYTES = "bytes_per_token:"

CONFIGURATION = frozenset(
    (
        *("params_total", "params_non_embedding", "model_params", "shape", "architecture"),
        *("tokenizer", "vocab_size", "schedule", "batch_tokens", "context_length", "init", "source"),
        *("learning_rate", "lr", "peak_lr", "weight_decay", "optimizer", "precision", "dropout"),
        *("eval_set", "evaluation_set", "eval_split"),
    )
)
"""Columns in which two curves must agree, wherever a table has them."""

_RECORDS = frozenset(
    (
        *("row", "run_id", "target", "tokens", "flops", "loss", "stderr", "lr_phase", "status", "seed", "notes"),
        *("target_tokens", "unique_tokens", "flops_per_token", "step", "steps", "seconds", "corpus", "stack"),
        *("documents", "bytes", *FLAGS),
    )
)

STABLE, END, UNKNOWN = "stable", "decayed end", "not stated"
_WHOLE = 1 - 1e-6


@dataclass(frozen=True, eq=False)
class Cell:
    """One curve's rows. `shares` are those above zero, `setting` every configuration column as text; `problem` is
    why the runs are unusable, "" if they are not."""

    target: str
    shares: tuple[tuple[str, float], ...]
    phase: str
    setting: Mapping[str, str]
    points: Points
    runs: tuple[str, ...]
    problem: str = ""
    repeats_from: float = np.inf
    """Tokens in all from which some text of the run has been seen more than once; infinite where not known."""

    @property
    def alone(self) -> bool:
        return len(self.shares) == 1

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.shares)


@dataclass(frozen=True)
class Cells:
    cells: tuple[Cell, ...]
    varying: tuple[str, ...]
    """The configuration columns that have several values in the table."""
    problems: Mapping[str, str]
    """Why a run is unusable, by run."""
    notes: tuple[str, ...]


def find_cells(table: RunTable, *, ignore: Sequence[str] = ()) -> Cells:
    """Every curve of a language that its runs were trained on.

    Rows in warm-up or within decay are on no curve; `notes` counts them. `ignore` names configuration columns in
    which curves need not agree. Raises InputError where the table lacks a column without which nothing can be
    compared, or has losses that are not positive.
    """
    _check(table)
    for name in ignore:
        if name not in table.frame.columns:
            raise unknown_name("column", name, table.frame.columns, where="ignore")
    evaluation = _evaluation_columns(table)
    setting = [c for c in _setting_columns(table, evaluation) if c not in ignore]
    problems = {**_changing(table), **unusable(table, evaluation)}
    frame, notes = _phased(table, evaluation)
    frame = frame.with_columns(problem=pl.col("run_id").replace_strict(dict(problems), default=""))
    groups = ["target", "mixture", "phase", "problem", *setting]
    cells = [_cell(rows, setting) for _, rows in frame.group_by(groups, maintain_order=True)]
    unknown = sum(len(cell.points) for cell in cells if not cell.shares)
    if unknown:
        notes.append(f"{unknown} rows without shares are on no curve.")
    # A loss on a language that the run never saw says nothing of a pair.
    cells = [cell for cell in cells if cell.target in cell.languages]
    varying = tuple(c for c in setting if table.frame[c].n_unique() > 1)
    return Cells(tuple(cells), varying, problems, tuple(notes))


def _check(table: RunTable) -> None:
    for column in ("run_id", "target", "tokens"):
        if column not in table.frame.columns:
            hint = "Transfer is measured from runs of one language and of two, each with its losses per target."
            raise InputError(f"no column {column}", where=table.source, hint=hint)
    if not table.languages:
        hint = "Add columns share:<language>, or one column mixture with JSON."
        raise InputError("no shares of languages", where=table.source, hint=hint)
    least = table.frame["loss"].min()
    if isinstance(least, float) and least <= 0:
        raise InputError(f"a loss of {least:g}", where=table.source, hint="Take bits/byte or nats/token.")


# --- which columns --------------------------------------------------------------------------------------


def _evaluation_columns(table: RunTable) -> list[str]:
    """Texts that tell rows apart which one run has at one point for one target."""
    free = [c for c in _free(table) if table.frame[c].dtype == pl.String]
    key = ["run_id", "target", "tokens"]
    return [c for c in free if _most_values(table.frame, key, c) > 1]


def _setting_columns(table: RunTable, evaluation: Sequence[str]) -> list[str]:
    """Known configuration columns, and others that act like one: the same throughout a run, different between runs
    of one mixture, and shared between mixtures."""
    frame = table.frame.with_columns(mixture=_mixtures(table))
    found = []
    for column in _free(table):
        if column in CONFIGURATION or column in evaluation:
            found.append(column)
        elif not frame[column].dtype.is_float() and not frame[column].dtype.is_nested():
            steady = _most_values(frame, ["run_id", "target"], column) == 1
            differs = _most_values(frame, ["mixture", "target"], column) > 1
            travels = _most_values(frame.filter(pl.col(column).is_not_null()), [column], "mixture") > 1
            if steady and differs and travels:
                found.append(column)
    return found


def _free(table: RunTable) -> list[str]:
    prefixes = (SHARE, UNIQUE, BYTES)
    return [c for c in table.frame.columns if c not in _RECORDS and not c.startswith(prefixes)]


def _most_values(frame: pl.DataFrame, key: Sequence[str], column: str) -> int:
    most = frame.group_by(key).agg(pl.col(column).n_unique().alias("values"))["values"].max()
    return int(most) if isinstance(most, int) else 0


def _changing(table: RunTable) -> dict[str, str]:
    mixed = table.frame.with_columns(mixture=_mixtures(table)).group_by("run_id", maintain_order=True)
    counts = mixed.agg(pl.col("mixture").n_unique())
    return {str(run): "its shares change during training" for run, n in counts.iter_rows() if n > 1}


def _mixtures(table: RunTable) -> pl.Series:
    names, shares = table.shares()
    texts = [";".join(f"{n}={s:.6g}" for n, s in zip(names, row, strict=True) if not s <= 0) for row in shares]
    return pl.Series("mixture", texts, dtype=pl.String)


# --- which rows -----------------------------------------------------------------------------------------


def _phased(table: RunTable, evaluation: Sequence[str]) -> tuple[pl.DataFrame, list[str]]:
    """The rows that are on a curve, with `phase` and `mixture`, and how many others there are."""
    frame = table.frame.with_columns(mixture=_mixtures(table))
    if "lr_phase" not in frame.columns:
        note = "the table has no column lr_phase: its rows are taken to be all of one learning-rate phase."
        return frame.with_columns(phase=pl.lit(UNKNOWN)), [note]
    phase = pl.col("lr_phase").str.to_lowercase()
    of_one = ["run_id", "target", *evaluation]
    finished = (phase == "final").any().over(of_one)
    last_decay = (phase == "decay") & (pl.col("tokens") == pl.col("tokens").max().over(of_one)) & ~finished
    named = (
        pl.when(phase == "stable")
        .then(pl.lit(STABLE))
        .when((phase == "final") | last_decay)
        .then(pl.lit(END))
        .when(phase.is_in(["warmup", "decay"]))
        .then(None)
        .otherwise(phase.fill_null(UNKNOWN))
    )
    frame = frame.with_columns(phase=named)
    out = Counter(str(v) for v in frame.filter(pl.col("phase").is_null())["lr_phase"])
    notes = [f"{count} rows in {name} are on no curve." for name, count in out.items()]
    if frame.select(last_decay.fill_null(False).any()).item():
        notes.append("a run's last row in decay is taken for its decayed end, where none is marked final.")
    return frame.filter(pl.col("phase").is_not_null()), notes


def _cell(rows: pl.DataFrame, setting: Sequence[str]) -> Cell:
    ids = rows["run_id"].cast(pl.String).to_list()
    runs = tuple(dict.fromkeys(ids))
    first = rows.row(0, named=True)
    shares = tuple(
        (c.removeprefix(SHARE), float(first[c])) for c in rows.columns if c.startswith(SHARE) and (first[c] or 0) > 0
    )
    tokens, loss = (rows[c].cast(pl.Float64).to_numpy() for c in ("tokens", "loss"))
    order = np.argsort(tokens, kind="stable")
    run = np.array([runs.index(i) for i in ids])
    return Cell(
        target=first["target"],
        shares=tuple((n, 1.0 if s >= _WHOLE else s) for n, s in shares),
        phase=first["phase"],
        setting={c: as_text(first[c]) for c in setting},
        points=Points(tokens[order], loss[order], run[order]),
        runs=runs,
        problem=first["problem"],
        repeats_from=_repeats_from(first, shares),
    )


def _repeats_from(row: Mapping[str, object], shares: Sequence[tuple[str, float]]) -> float:
    starts = [np.inf]
    for name, share in shares:
        unique = row.get(UNIQUE + name) or (row.get("unique_tokens") if len(shares) == 1 else None)
        if isinstance(unique, int | float) and unique > 0:
            starts.append(unique / share)
    return float(min(starts))


def as_text(value: object) -> str:
    """A configuration value as one compares and shows it."""
    if value is None:
        return "not stated"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return f"{value:g}" if isinstance(value, float) else str(value)
