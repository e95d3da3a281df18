"""Another isogloss study folder, run by the lab or imported, as a source with its own mapping."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import InputError
from isogloss.runs.columns import BY_NAME
from isogloss.runs.importing.logged import LoggedRun, Series, Trouble
from isogloss.runs.importing.mapping import COUNTS, NUMBERS, TEXTS, Mapping, read_mapping
from isogloss.runs.study_table import EVALS, EXPOSURE, RUNS, is_study, study_table

_PHASES = ("warmup", "stable", "decay", "final")
_TOKENS = "tokens"
_EXPOSED = ("share", "realised_share", "tokens", "unique_tokens")
# Said by the import itself, or not of the run's making.
_NOT_EXTRA = frozenset({"run_id", "source", "status", *NUMBERS, *COUNTS, *TEXTS})


def holds(path: Path) -> bool:
    return is_study(path)


@dataclass
class StudyFolder:
    """Its points keep their tokens, phases and standard errors: tokens take the place of steps."""

    path: Path
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def said(self) -> str:
        return f"study: {self.path}"

    @cached_property
    def _runs(self) -> pl.DataFrame:
        return study_table(self.path, RUNS)

    @cached_property
    def _units(self) -> list[str]:
        return study_table(self.path, EVALS)["unit"].unique(maintain_order=True).to_list()

    @property
    def mapping(self) -> Mapping:
        """What stands where is known: nothing needs to be guessed or said."""
        losses = {
            f"{unit}@{phase or 'any'}/{{language}}": {
                "unit": unit,
                "stderr": f"stderr of {unit}@{phase or 'any'}/{{language}}",
                **({"phase": phase} if phase else {}),
            }
            for unit in self._units
            for phase in (*_PHASES, None)
        }
        if not losses:
            raise InputError("holds no evaluations", where=str(self.path), hint="isogloss study run makes them.")
        filled = [c for c in self._runs.columns if self._runs[c].null_count() < self._runs.height]
        columns = [c for c in (*NUMBERS, *COUNTS, *TEXTS) if c in filled]
        extra = [c for c in filled if c not in _NOT_EXTRA and c not in BY_NAME]
        return read_mapping(
            {
                "losses": losses,
                "tokens": {"metric": _TOKENS},
                "run": {c: c for c in columns},
                "mixture": {name: f"{name}:{{language}}" for name in _EXPOSED},
                "extra": {c: c for c in extra},
            }
        )

    def entries(self) -> Iterator[StudyRun]:
        exposure = study_table(self.path, EXPOSURE).partition_by("run_id", as_dict=True)
        evals = study_table(self.path, EVALS).partition_by("run_id", as_dict=True)
        for row in self._runs.iter_rows(named=True):
            key = (row["run_id"],)
            yield StudyRun(row, exposure.get(key), evals.get(key))


@dataclass(frozen=True, eq=False)
class StudyRun:
    row: dict[str, Any]
    exposure: pl.DataFrame | None
    evals: pl.DataFrame | None

    @property
    def key(self) -> str:
        return str(self.row["run_id"])

    @property
    def version(self) -> str:
        digest = hashlib.sha256(repr(self.row).encode())
        for frame in (self.exposure, self.evals):
            if frame is not None:
                digest.update(frame.write_csv().encode())
        return digest.hexdigest()[:24]

    def read(self) -> LoggedRun:
        config = {name: value for name, value in self.row.items() if name not in ("run_id", "status", "source")}
        for row in self.exposure.iter_rows(named=True) if self.exposure is not None else ():
            for name in _EXPOSED:
                if row.get(name) is not None:
                    config[f"{name}:{row['language']}"] = row[name]
        return LoggedRun(self.key, self.key, str(self.row.get("status") or ""), config, self._metrics())

    def _metrics(self) -> dict[str, Series]:
        if self.evals is None:
            return {}
        out: dict[str, Series] = {}
        by: Sequence[str] = ("unit", "lr_phase", "language")
        evals = self.evals if "lr_phase" in self.evals.columns else self.evals.with_columns(lr_phase=pl.lit(None))
        for (unit, phase, language), points in evals.group_by(by, maintain_order=True):
            points = points.sort("tokens", maintain_order=True)
            name = f"{unit}@{phase or 'any'}/{language}"
            steps = points["tokens"].cast(pl.Int64).to_numpy()
            out[name] = Series(steps, points["loss"].cast(pl.Float64).to_numpy())
            if "stderr" in points.columns and points["stderr"].is_not_null().any():
                known = points.filter(pl.col("stderr").is_not_null())
                out[f"stderr of {name}"] = Series(known["tokens"].to_numpy(), known["stderr"].to_numpy())
        steps = np.unique(evals["tokens"].cast(pl.Int64).to_numpy())
        return {**out, _TOKENS: Series(steps, steps.astype(float))}
