"""How fits of several languages are shown and written."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from isogloss.cli.output import console, number, print_table

if TYPE_CHECKING:
    from isogloss.fitting import LanguageFits

WAYS = {
    "pooled": "coefficients drawn from one population: languages with few runs borrow from the others",
    "separate": "each language by itself",
    "tied": "one law for all",
}
SIDE_BY_SIDE = 4


def print_languages(answer: LanguageFits) -> None:
    out = console()
    first = next(iter(answer.fits.values()))
    counted = f", N = params_{first.params}" if "N" in first.law.columns else ""
    out.print(
        f"{first.law.name} fitted to {len(answer)} languages of {first.source} "
        f"({first.law.source}; loss in {first.unit}{counted})",
        style="bold",
        markup=False,
        soft_wrap=True,
    )
    tied = f"; one for all: {', '.join(answer.tied)}" if answer.tied and answer.across != "tied" else ""
    out.print(f"{answer.across}: {WAYS[answer.across]}{tied}", markup=False, soft_wrap=True)
    interval = f"{first.level:.0%} interval below" if len(first.draws) else "no intervals"
    for shown in batches(columns(answer)):
        rows = [[name, str(fit.rows.height), *cells(answer, name, shown)] for name, fit in answer.fits.items()]
        if answer.typical is not None:
            rows.append(["a language like these", "", *cells(answer, None, shown)])
        print_table(f"\n{interval}", ["language", "rows", *shown], rows, left=1, whole=shown)
    poorest = sorted(answer.own.items(), key=lambda item: sum(item[1].values()))
    if answer.across == "pooled" and poorest:
        language, own = poorest[0]
        part = sum(own.values()) / len(own)
        out.print(
            f"{language} borrows most: {part:.0%} of what its coefficients say comes from its own rows.",
            markup=False,
            soft_wrap=True,
        )
    reasons = Counter(r.reason for r in answer.left_out)
    left_out = "; ".join(f"{count} ({reason})" for reason, count in reasons.items()) or "none"
    out.print(f"\nRows left out: {left_out}", markup=False, soft_wrap=True)


def columns(answer: LanguageFits) -> list[str]:
    """Coefficients that can be compared between languages: not the weights of sources, which differ, nor A and B,
    whose units depend on the language's own exponents. Those stand in the files."""
    kept: dict[str, None] = {}
    for fit in answer.fits.values():
        kept |= dict.fromkeys(e.name for e in fit.coefficients if not e.held and "[" not in e.name)
    return [name for name in kept if name not in ("A", "B")] or list(kept)


def batches(names: list[str]) -> list[list[str]]:
    """As many as stand side by side with their intervals in 80 characters."""
    return [names[i : i + SIDE_BY_SIDE] for i in range(0, len(names), SIDE_BY_SIDE)]


def cells(answer: LanguageFits, language: str | None, shown: list[str]) -> list[str]:
    fit = answer.typical if language is None else answer.fits[language]
    assert fit is not None
    values = {e.name: e for e in fit.coefficients}
    out = []
    for name in shown:
        e = values[name]
        interval = "" if e.low is None or e.high is None else f"\n{number(e.low, 3)}..{number(e.high, 3)}"
        out.append(f"{number(e.value)}{interval}")
    return out


def write_languages(answer: LanguageFits, folder: Path) -> None:
    from isogloss.report.answers import page_of

    answer.save(folder, pages={"fit.html": page_of(answer)})
