"""Transfer measured from runs: every comparable pair's curve of scores, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isogloss.display import Shown
from isogloss.errors import InputError, unknown_name
from isogloss.runs import RunTable, read_runs
from isogloss.runs.columns import meaning
from isogloss.runs.names import canonical_name
from isogloss.runs.study_table import is_study
from isogloss.runs.where import parse_condition
from isogloss.stores import local
from isogloss.transfer.cells import UNKNOWN, find_cells
from isogloss.transfer.curves import CurveNoise
from isogloss.transfer.inversion import REACH, invert
from isogloss.transfer.matrix import TransferMatrix
from isogloss.transfer.noise import noise_of, table_noise
from isogloss.transfer.pair import PER, PairTransfer, Per, Score
from isogloss.transfer.pairs import MIN_POINTS, Candidate, Refused, find_pairs, named
from isogloss.transfer.text_bytes import TextBytes, find_bytes

Where = Mapping[str, str]


@dataclass(frozen=True, eq=False)
class MeasuredTransfer(Shown):
    """Measured pairs, and the candidates that were refused; `problems` says by run why runs are unusable.

    Scores: BTS is 0, tau 0 and D_mono/D_bi 0.5 where the source neither helps nor harms.
    """

    pairs: tuple[PairTransfer, ...]
    refused: tuple[Refused, ...]
    problems: Mapping[str, str]
    notes: tuple[str, ...]
    source: str
    unit: str
    level: float
    """Of all intervals."""

    def at(
        self, target: str, source: str, anchor: float | None = None, *, per: Per = "token", cell: Where | None = None
    ) -> Score:
        """The score of one pair; languages in any spelling. `cell` chooses among several: {"eval_set": "holdout"}.

        Raises InputError where the pair was not measured (with the reason, if it was refused), was measured in
        several cells, or does not reach the anchor.
        """
        return self.pair(target, source, cell=cell).at(anchor, per=per)

    def pair(self, target: str, source: str, *, cell: Where | None = None) -> PairTransfer:
        """One measured pair, as `at` finds it."""
        target, source = canonical_name(target), canonical_name(source)
        found = [p for p in self._in(cell) if (p.target, p.source) == (target, source)]
        if not found:
            reasons = [r.reason for r in self.refused if (r.target, r.source) == (target, source)]
            hint = f"Refused: {reasons[0]}." if reasons else "There is no run of these two languages."
            raise InputError(f"{source} -> {target} was not measured", where=self.source, hint=hint)
        _refuse_several(found)
        return found[0]

    def matrix(self, anchor: float | None = None, per: Per = "token", *, cell: Where | None = None) -> TransferMatrix:
        """All pairs' scores with their standard errors, kind "measured"; NaN and "" where there is none.

        Each pair is at its own default anchor if `anchor` is None; a pair that does not reach `anchor` is absent.
        Raises InputError where a pair was measured in several cells, or none is left.
        """
        chosen = self._in(cell)
        names = dict.fromkeys(name for p in chosen for name in (p.target, p.source))
        size, place = len(names), {name: i for i, name in enumerate(sorted(names))}
        bts, sd = np.full((size, size), np.nan), np.full((size, size), np.nan)
        kind = np.full((size, size), "", dtype=object)
        for t, s in dict.fromkeys((p.target, p.source) for p in chosen):
            of_pair = [p for p in chosen if (p.target, p.source) == (t, s)]
            _refuse_several(of_pair)
            if anchor is not None and not of_pair[0].anchors[0] <= anchor <= of_pair[0].anchors[-1]:
                continue
            score = of_pair[0].at(anchor, per=per)
            at = place[t], place[s]
            bts[at], sd[at], kind[at] = score.bts, score.bts_sd, "measured"
        if not (kind == "measured").any():
            ranges = "; ".join(f"{p.label} {p.anchors[0]:.3g} to {p.anchors[-1]:.3g}" for p in chosen[:6])
            hint = f"Anchors: {ranges}." if ranges else "See what was refused."
            raise InputError("no measured pair has a score here", where=self.source, hint=hint)
        return TransferMatrix(tuple(place), bts, kind, sd)

    def _in(self, cell: Where | None) -> list[PairTransfer]:
        known = {name: {dict(p.cell).get(name) for p in self.pairs} for p in self.pairs for name, _ in p.cell}
        for name, value in (cell or {}).items():
            if name not in known:
                raise unknown_name("cell column", name, known, where="cell")
            if str(value) not in known[name]:
                raise unknown_name(name, str(value), [str(v) for v in known[name]], where=f"cell, {name}")
        wanted = {(name, str(value)) for name, value in (cell or {}).items()}
        return [p for p in self.pairs if wanted <= set(p.cell)]

    def frame(self) -> pl.DataFrame:
        """One row per pair, anchor and unit (per token; per byte where known), with the cell's columns as text."""
        frames = [_rows(p, per) for p in self.pairs for per in PER if per == "token" or p.bytes_per_token]
        return pl.concat(frames, how="diagonal") if frames else pl.DataFrame()

    def to_dict(self, anchor: float | None = None, per: Per = "token") -> dict[str, Any]:
        """Scores of all pairs at one anchor (default: each at its own), and all else, as
        `isogloss transfer measure --json` documents. Pairs that do not reach the anchor have a null."""
        return {
            "source": self.source,
            "unit": self.unit,
            "level": self.level,
            "per": per,
            "pairs": [_said(p, anchor, per) for p in self.pairs],
            "refused": [asdict(r) | {"cell": dict(r.cell)} for r in self.refused],
            "unusable_runs": dict(self.problems),
            "notes": list(self.notes),
        }

    def save(self, path: str | Path, *, pages: Mapping[str, str] | None = None) -> Path:
        """Write a folder, whole or not at all, with `pages` (text by file name) beside; `load` reads it back."""
        from isogloss.transfer.measured_store import save_measured

        return save_measured(self, path, pages or {})

    @staticmethod
    def load(path: str | Path) -> MeasuredTransfer:
        """Raises InputError if the folder is not whole, damaged, or of another schema."""
        from isogloss.transfer.measured_store import load_measured

        return load_measured(path)


def measure(
    runs: RunTable | Any,
    *,
    where: str | Sequence[str] = (),
    bytes_per_token: Mapping[str, float] | str | None = None,
    ignore: Sequence[str] = (),
    anchors: int = 15,
    min_points: int = MIN_POINTS,
    level: float = 0.9,
    draws: int = 400,
    seed: int = 0,
) -> MeasuredTransfer:
    """Measure transfer from runs of one language and of pairs: a run table, a study's folder, or what `read_runs`
    takes.

    Curves are compared only where configuration (size, tokenizer, schedule, evaluation set and so on; not the columns
    in `ignore`) and learning-rate phase are equal: stable with stable, or decayed ends with decayed ends. Shares from
    0.05 to 0.95 are allowed. Repeated text is allowed, and noted. `bytes_per_token` is by language, or the name of a
    column that holds it for each row's target. Raises InputError where the table cannot be used at all; what cannot
    be compared in it is in `refused`.
    """
    if not 0 < level < 1 or anchors < 3 or draws < 50 or min_points < 4:
        what = f"level {level:g}, anchors {anchors}, draws {draws}, min_points {min_points}"
        raise InputError(what, where="measure", hint="0 < level < 1, at least 3 anchors, 50 draws and 4 points.")
    table = _read(runs, [where] if isinstance(where, str) else list(where))
    of_text = find_bytes(table, bytes_per_token, runs)
    ignored = [*ignore, *([bytes_per_token] if isinstance(bytes_per_token, str) else [])]
    found = find_cells(table, ignore=ignored)
    candidates, refused = find_pairs(found, min_points=min_points)
    notes = [*table.notes, *_left_out(table), *found.notes]
    if not candidates:
        return MeasuredTransfer((), tuple(refused), found.problems, tuple(notes), table.source, table.unit, level)
    together = table_noise(list({id(c): c for pair in candidates for c in pair.curves}.values()))
    notes += [f"{together.note(table.unit)}", *([of_text.note] if of_text.note else [])]
    streams = np.random.default_rng(seed).spawn(len(candidates))
    pairs = []
    for candidate, rng in zip(candidates, streams, strict=True):
        mono, pair = (noise_of(c, together) for c in candidate.curves)
        inversion = invert(
            *candidate.curves,
            noises=(mono, pair),
            span=candidate.span,
            anchors=anchors,
            draws=draws,
            level=level,
            rng=rng,
        )
        text = _bytes(candidate, of_text)
        pairs.append(
            PairTransfer(
                target=candidate.target,
                source=candidate.source,
                cell=named(candidate.pair, found.varying),
                share=candidate.share,
                inversion=inversion,
                noise=_both(mono, pair),
                points=(len(candidate.mono.points), len(candidate.pair.points)),
                runs=(candidate.mono.runs, candidate.pair.runs),
                bytes_per_token=text,
                notes=tuple(_notes(candidate, float(inversion.sigma_high.max()))),
            )
        )
    return MeasuredTransfer(tuple(pairs), tuple(refused), found.problems, tuple(notes), table.source, table.unit, level)


def _read(runs: RunTable | Any, where: list[str]) -> RunTable:
    if isinstance(runs, RunTable):
        return runs.where(*where) if where else runs
    runs = local(runs)
    spoken = any(meaning(parse_condition(c).column) == "lr_phase" for c in where)
    if not spoken and isinstance(runs, str | Path) and is_study(Path(runs)):
        # Unless asked about it, read_runs gives a study's finished models only.
        where = [*where, "lr_phase!=warmup"]
    return read_runs(runs, where=where)


def _left_out(table: RunTable) -> list[str]:
    reasons = [left.reason for left in table.left_out]
    return [f"{reasons.count(reason)} rows were not read: {reason}." for reason in dict.fromkeys(reasons)]


def _bytes(candidate: Candidate, of_text: TextBytes) -> tuple[float, float] | None:
    tokenizer = candidate.pair.setting.get("tokenizer")
    target, source = (of_text.of(name, tokenizer) for name in (candidate.target, candidate.source))
    return None if target is None or source is None else (target, source)


def _both(mono: CurveNoise, pair: CurveNoise) -> float:
    return float(np.hypot(mono.total, pair.total))


def _notes(candidate: Candidate, highest: float) -> list[str]:
    notes = []
    if candidate.share != 0.5:
        notes.append(
            f"the target's share is {candidate.share:.3g}: tau is measured at it; BTS and ratio are a 50/50 pair's of"
            " that tau."
        )
    for cell, what in ((candidate.mono, "the target alone"), (candidate.pair, "the pair")):
        if cell.repeats_from < cell.points.tokens.max():
            notes.append(f"{what} repeats text from {cell.repeats_from:.3g} tokens on: scores beyond include that.")
    if candidate.mono.phase == UNKNOWN:
        notes.append("the learning-rate phase is not stated: that the curves are of one phase is taken on trust.")
    if highest > candidate.pair.points.tokens.max():
        notes.append(
            f"limits of intervals reach beyond the pair's last point: there by the smooth curve, up to {REACH:g} times"
            " its tokens, then open."
        )
    return notes


def _refuse_several(pairs: Sequence[PairTransfer]) -> None:
    if len(pairs) < 2:
        return
    values = {name: dict.fromkeys(dict(p.cell)[name] for p in pairs) for name, _ in pairs[0].cell}
    several = [f"{name} ({', '.join(v)})" for name, v in values.items() if len(v) > 1] or ["the target's share"]
    first = next((name for name, v in values.items() if len(v) > 1), None)
    hint = f"Choose one: cell={{{first!r}: {next(iter(values[first]))!r}}}." if first else "Choose rows with where=."
    what = f"{pairs[0].source} -> {pairs[0].target} was measured in {len(pairs)} cells, which differ in "
    raise InputError(what + ", ".join(several), hint=hint)


def _said(pair: PairTransfer, anchor: float | None, per: Per) -> dict[str, Any]:
    head = {"target": pair.target, "source": pair.source, "cell": dict(pair.cell), "share": pair.share}
    reached = anchor is None or pair.anchors[0] <= anchor <= pair.anchors[-1]
    score = asdict(pair.at(anchor, per=per)) if reached else None
    for name in ("target", "source", "cell", "per"):
        if score is not None:
            del score[name]
    return {**head, "score": score, "runs": [list(r) for r in pair.runs], "notes": list(pair.notes)}


def _rows(pair: PairTransfer, per: Per) -> pl.DataFrame:
    found, scores = pair.inversion, pair.scores(per)
    size = pair.bytes_per_token
    head = {"target": pair.target, "source": pair.source, **dict(pair.cell), "share": pair.share, "per": per}
    return pl.DataFrame(
        {
            "anchor": found.anchors,
            "anchor_bytes": found.anchors * size[0] if size else np.full(len(found.anchors), None),
            "default": found.anchors == found.default,
            "sigma": found.sigma,
            "sigma_low": found.sigma_low,
            "sigma_high": found.sigma_high,
            **vars(scores),
            "flat": pair.flat(per),
        },
        schema_overrides={"anchor_bytes": pl.Float64},
    ).select(*(pl.lit(value).alias(name) for name, value in head.items()), pl.all())
