"""Transfer between languages: the published matrix, and weights for any set of languages."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import polars as pl

from isogloss import languages as _languages
from isogloss.display import Shown
from isogloss.errors import InputError, unknown_name
from isogloss.transfer.scores import weight_from_score

# By 2 (same script) + (same family).
RELATIONS = (
    "different script and family",
    "same family, different script",
    "same script, different family",
    "same script and family",
)


@dataclass(frozen=True, eq=False)
class Weights:
    """Transfer weights among K languages, and where each comes from."""

    languages: tuple[str, ...]
    tau: np.ndarray
    """`(K, K)`, [target, source]; zero on the diagonal."""
    kind: np.ndarray
    """`(K, K)` of str: the matrix's own kind ("published", "predicted"), "assumed", or "" on the diagonal."""
    notes: tuple[str, ...]
    """How the assumed pairs were filled."""


@dataclass(frozen=True, eq=False)
class TopSources:
    """For every target its k sources of highest score, and how often each source is among them."""

    k: int
    helpers: pl.DataFrame
    """One row per target and source that may be in its top k: `score`, `kind`, `rank` (1 is best; the mean rank of a
    tie), and `certain`, whether it is there however its ties fall."""
    counts: pl.DataFrame
    """One row per source, most helpful first: the `targets` that have a score of it, and of how many of these it is
    among the top k: `certain`, `possible` (both bounds of ties), `expected` (ties broken at random)."""


@dataclass(frozen=True, eq=False)
class TransferMatrix(Shown):
    """Bilingual transfer scores by canonical language code: 0 neutral, positive where the source helps."""

    languages: tuple[str, ...]
    bts: np.ndarray
    """`(targets, sources)`; NaN where absent, and on the diagonal."""
    kind: np.ndarray
    """`(targets, sources)` of str, such as "published" (measured) and "predicted"; "" where absent."""
    sd: np.ndarray | None = None
    """`(targets, sources)` standard error of each score, NaN where it is not known; None: of none is it known."""

    def __post_init__(self) -> None:
        size = len(self.languages)
        shapes = {self.bts.shape, self.kind.shape, (size, size) if self.sd is None else self.sd.shape}
        if shapes != {(size, size)}:
            raise InputError(
                f"{size} languages need {size} x {size} scores, kinds and standard errors, got "
                + ", ".join(map(str, sorted(shapes))),
                where="TransferMatrix",
            )
        _refuse_repeats(self.languages, "TransferMatrix")
        for language in self.languages:
            if _languages.resolve(language) != language:
                code = _languages.resolve(language)
                raise InputError(f"{language!r} is not canonical, {code!r} is", where="TransferMatrix")

    @staticmethod
    def published() -> TransferMatrix:
        """ATLAS's 38 languages at 2B parameters and 42B tokens (arXiv:2510.22037, figure C.2), one decimal.

        The 72 pairs among nine languages are measured ("published"); the other 1,334 come from ATLAS's random
        forest ("predicted"). The paper calls the figure's scores normalised and does not say how.
        """
        return _published()

    def relation_means(self) -> dict[str, tuple[float, int]]:
        """Mean score and number of pairs by relation between the languages; NaN where there is no pair."""
        relation, present = relations(self.languages), self.present()
        cells = {name: self.bts[present & (relation == i)] for i, name in enumerate(RELATIONS)}
        return {name: (float(found.mean()) if len(found) else np.nan, len(found)) for name, found in cells.items()}

    def top_sources(self, k: int = 5, *, kinds: Sequence[str] | None = None) -> TopSources:
        """Every target's `k` best sources, of scores of these `kinds` (default: all), and how often each is among them.

        Equal scores are ties: of scores printed to one decimal it is not known which is higher.
        Raises InputError for a k below 1 and an unknown kind.
        """
        if k < 1:
            raise InputError(f"at least 1 source must be asked for, got {k}", where="k")
        known = sorted({str(kind) for kind in self.kind.ravel()} - {""})
        for kind in kinds or ():
            if kind not in known:
                raise unknown_name("kind of score", kind, known, where="kinds")
        used = self.present() & (np.isin(self.kind.astype(str), known if kinds is None else list(kinds)))
        scores = np.where(used, self.bts, np.nan)
        # [target, source]: scores of the same target that are higher, and that are equal (its own among them).
        above = (scores[:, None, :] > scores[:, :, None]).sum(axis=2)
        equal = (scores[:, None, :] == scores[:, :, None]).sum(axis=2)
        certain, possible = used & (above + equal <= k), used & (above < k)
        expected = np.where(used, np.clip((k - above) / np.maximum(equal, 1), 0.0, 1.0), 0.0)
        names = np.array(self.languages)
        target, source = np.nonzero(possible)
        helpers = pl.DataFrame(
            {
                "target": names[target].tolist(),
                "source": names[source].tolist(),
                "score": scores[possible],
                "kind": self.kind[possible].astype(str).tolist(),
                "rank": (above + (equal + 1) / 2)[possible],
                "certain": certain[possible],
            }
        ).sort("target", "rank", "source")
        counts = pl.DataFrame(
            {
                "source": names.tolist(),
                "certain": certain.sum(axis=0),
                "possible": possible.sum(axis=0),
                "expected": expected.sum(axis=0),
                "targets": used.sum(axis=0),
            }
        )
        order = ["expected", "possible", "source"]
        kept = counts.filter(pl.col("targets") > 0).sort(order, descending=[True, True, False])
        return TopSources(k, helpers, kept)

    def weights_for(self, languages: Sequence[str]) -> Weights:
        """Weights among these languages (any spelling); pairs that the matrix lacks are assumed.

        An assumed pair has the mean score of the matrix's pairs in the same relation: script the same or not,
        family the same or not. A language of no known family shares none.
        """
        codes = tuple(_languages.resolve(language) for language in languages)
        _refuse_repeats(codes, "languages")
        size = len(codes)
        bts, kind = np.full((size, size), np.nan), np.full((size, size), "", dtype=object)
        place = {code: i for i, code in enumerate(self.languages)}
        here = np.array([i for i, code in enumerate(codes) if code in place], dtype=int)
        there = np.array([place[codes[i]] for i in here], dtype=int)
        bts[np.ix_(here, here)] = np.where(self.present(), self.bts, np.nan)[np.ix_(there, there)]
        kind[np.ix_(here, here)] = self.kind[np.ix_(there, there)]
        np.fill_diagonal(kind, "")
        absent = np.isnan(bts) & ~np.eye(size, dtype=bool)
        notes = self._fill(bts, absent, relations(codes)) if absent.any() else ()
        kind[absent] = "assumed"
        np.fill_diagonal(bts, 0.0)
        return Weights(codes, _frozen(weight_from_score(bts)), _frozen(kind), notes)

    def present(self) -> np.ndarray:
        return np.isfinite(self.bts) & ~np.eye(len(self.languages), dtype=bool)

    def _fill(self, bts: np.ndarray, absent: np.ndarray, relation: np.ndarray) -> tuple[str, ...]:
        """Fill the absent cells of `bts` in place; say how."""
        present = self.present()
        if not present.any():
            raise InputError("the transfer matrix has no scores", hint="Use TransferMatrix.published().")
        overall, notes = float(self.bts[present].mean()), []
        for i, (name, (mean, cells)) in enumerate(self.relation_means().items()):
            chosen = absent & (relation == i)
            if not chosen.any():
                continue
            score = mean if cells else overall
            what = f"mean of {cells:,}" if cells else f"none in the matrix: mean of all {present.sum():,}"
            bts[chosen] = score
            notes.append(
                f"{chosen.sum():,} pairs of {name} assumed: score {score:.3f},"
                f" weight {weight_from_score(score):.3f} ({what})"
            )
        return tuple(notes)


@cache
def _published() -> TransferMatrix:
    text = resources.files("isogloss.transfer").joinpath("data", "atlas_bts.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    codes = tuple(sorted({row["target"] for row in rows} | {row["source"] for row in rows}))
    place = {code: i for i, code in enumerate(codes)}
    targets, sources = [place[row["target"]] for row in rows], [place[row["source"]] for row in rows]
    bts = np.full((len(codes), len(codes)), np.nan)
    kind = np.full(bts.shape, "", dtype=object)
    bts[targets, sources] = [float(row["bts"]) + 0.0 for row in rows]  # the figure prints -0.0
    kind[targets, sources] = [row["kind"] for row in rows]
    return TransferMatrix(codes, _frozen(bts), _frozen(kind))


def relations(codes: Sequence[str]) -> np.ndarray:
    """`(K, K)` places in RELATIONS."""
    scripts = np.array([_languages.get(code).script for code in codes])
    # A language without a family gets one of its own.
    families = np.array([_languages.family_of(code) or f"no family: {code}" for code in codes])
    same_script = scripts[:, None] == scripts[None, :]
    same_family = families[:, None] == families[None, :]
    return 2 * same_script + same_family


def _refuse_repeats(codes: Sequence[str], where: str) -> None:
    repeated = sorted({code for code in codes if codes.count(code) > 1})
    if repeated:
        raise InputError(f"{', '.join(repeated)} stands there more than once", where=where)


def _frozen(values: np.ndarray) -> np.ndarray:
    values.setflags(write=False)
    return values
