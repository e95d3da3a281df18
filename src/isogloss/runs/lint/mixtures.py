"""Shares that do not add up, that are not those trained on, and names of languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

import numpy as np

from isogloss.runs.columns import SHARE
from isogloss.runs.lint import codes
from isogloss.runs.lint.finding import Found
from isogloss.runs.lint.names import REALISED
from isogloss.runs.lint.sheet import Sheet
from isogloss.runs.names import canonical_name
from isogloss.runs.shares import TOLERANCE

PERCENT_TOLERANCE = 2.0
# Sums that a fix divides away.
FIXABLE = 0.02
# Sums this close to 1 are rounding in the last place.
EXACT = 1e-6
REALISED_TOLERANCE, REALISED_RATIO = 0.02, 0.1
_CODE = re.compile(r"[a-z]{2,3}[-_][A-Z][a-z]{2,7}")
_SMALL_CODE = re.compile(r"[a-z]{2,3}[-_](?P<script>[a-z]{4,7})")


def judge_sums(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of shares `(n, K)`: which rows have a mixture, its sum, and which are percent or have a share out of range."""
    known = ~np.all(np.isnan(shares), axis=1)
    sums = np.nansum(shares, axis=1)
    negative = (shares < 0).any(axis=1)
    percent = known & ~negative & (np.abs(sums - 100) <= PERCENT_TOLERANCE)
    beyond = known & ~percent & (negative | (shares > 1 + TOLERANCE).any(axis=1))
    return known, sums, percent, beyond


def sums(sheet: Sheet) -> Iterator[Found]:
    if not sheet.languages:
        return
    known, total, percent, beyond = judge_sums(sheet.matrix(SHARE))
    known &= sheet.used & ~sheet.ghost
    off = known & ~percent & ~beyond & (np.abs(total - 1) > TOLERANCE)
    if off.any():
        extent = float(total[off].min()), float(total[off].max())
        text = "the shares of {rows} sum to {extent}, not to 1."
        yield from codes.SHARES_SUM.finding(sheet, off, text, extent=extent, show=_range)
    rounded = known & ~off & ~percent & ~beyond & (np.abs(total - 1) > EXACT)
    yield from codes.SHARES_ROUNDED.finding(sheet, rounded, "the shares of {rows} sum to 1 only when rounded.")
    yield from codes.SHARES_PERCENT.finding(
        sheet, percent & known, "the shares of {rows} are percent: they sum to 100."
    )
    yield from codes.SHARE_RANGE.finding(sheet, beyond & known, "{rows} with a share below 0 or above 1.")


def _range(low: float, high: float) -> str:
    least, greatest = f"{low:.4g}", f"{high:.4g}"
    return least if least == greatest else f"between {least} and {greatest}"


def missing(sheet: Sheet) -> Iterator[Found]:
    if sheet.languages:
        known = ~np.all(np.isnan(sheet.matrix(SHARE)), axis=1)
        which = ~known & sheet.used & ~sheet.ghost & ~sheet.unreadable("mixture")
        if known.any() or sheet.whole:
            yield from codes.MIXTURE_MISSING.finding(sheet, which, "{rows} without a mixture.")


def realised(sheet: Sheet) -> Iterator[Found]:
    names = [n for n in sheet.languages if sheet.has(REALISED + n)]
    if not names:
        return
    asked = np.stack([sheet.array(SHARE + n) for n in names], axis=1)
    trained = np.stack([sheet.array(REALISED + n) for n in names], axis=1)
    percent = judge_sums(sheet.matrix(SHARE))[2]
    asked = np.where(percent[:, None], asked / 100, asked)
    gap = np.abs(trained - asked)
    off = np.any((gap >= REALISED_TOLERANCE) & (gap >= REALISED_RATIO * np.maximum(asked, trained)), axis=1)
    if off.any():
        text = "{rows} trained on other shares than asked for (up to {extent} off)."
        worst = float(np.nanmax(gap[off]))
        yield from codes.SHARES_REALISED.finding(sheet, off, text, extent=(0.0, worst), show=_greatest)


def _greatest(_: float, high: float) -> str:
    return f"{high:.2g}"


def languages(sheet: Sheet) -> Iterator[Found]:
    """Names that look like a code with a script and are none."""
    wrong = [n for n in sheet.targets if _wrong(n)]
    if wrong:
        which = sheet.frame["target"].is_in(wrong).fill_null(False)
        text = "{rows} whose target is no known language: {names}."
        yield from codes.LANGUAGE_UNKNOWN.finding(sheet, which, text, names=tuple(wrong))
    columns = [n for n in sheet.languages if _wrong(n) and n not in wrong]
    if columns:
        text = "shares of names that are no known language: {names}."
        yield codes.LANGUAGE_UNKNOWN.of_table(text, names=tuple(columns))


def _wrong(name: str) -> bool:
    """A code with a script, or in small letters with nearly one, that no language has."""
    if not _CODE.fullmatch(name):
        match = _SMALL_CODE.fullmatch(name)
        if match is None or not get_close_matches(match["script"], _scripts(), cutoff=0.8):
            return False
    return canonical_name(name) == name and not _known(name)


def _scripts() -> list[str]:
    from isogloss.languages.scripts import SCRIPT_NAMES

    return [script.lower() for script in SCRIPT_NAMES]


def _known(name: str) -> bool:
    # Imported here: reading the language table costs time that tables without languages need not spend.
    from isogloss.errors import InputError
    from isogloss.languages import resolve

    try:
        resolve(name)
    except InputError:
        return False
    return True


CHECKS = (sums, missing, realised, languages)
