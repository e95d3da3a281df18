"""What the runs can tell: the laws that they are enough for, and what the others lack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from isogloss.report.card import Card
from isogloss.report.words import count, listed

UNNAMED = "all"


def laws_card(numbers: Mapping[str, Any], names: Mapping[str, str]) -> Card:
    laws = numbers["laws"]
    ready = [law["law"] for law in laws if law["ready"]]
    targets = len({t for law in laws for t in (*law["ready"], *law["thin"], *law["missing"])})
    if not targets:
        return Card("laws", "What the runs can tell", "No model that a fit reads has tokens and a loss.")
    rows = [row for law in laws for row in _verdicts(law, targets, names)]
    table = pl.DataFrame(rows, schema=["Law", "Verdict", "Languages", "Why"], orient="row")
    said = f"Ready for {listed(ready, most=9)}" if ready else "No law has all that it needs"
    first = next((r for law in laws for r in law["missing"].values()), None)
    more = f"; most often missing: {_commonest(laws)}" if first else ""
    return Card(
        id="laws",
        title="What the runs can tell",
        sentence=f"{said}{more}.",
        table=table,
        notes=(
            "Read off N, D and mixtures of the models that a fit reads, before any fit: the fit itself says which "
            "coefficients are told. Laws that are not listed need columns of their own.",
        ),
    )


def _commonest(laws: list[dict[str, Any]]) -> str:
    counts: dict[str, int] = {}
    for law in laws:
        for reasons in law["missing"].values():
            for reason in reasons:
                counts[reason] = counts.get(reason, 0) + 1
    return max(counts, key=lambda reason: counts[reason])


def _of(targets: list[str], of: int, names: Mapping[str, str]) -> str:
    if not targets:
        return ""
    return f"all {of}" if len(targets) == of > 3 else listed([names.get(t, t or UNNAMED) for t in targets], most=3)


def _verdicts(law: Mapping[str, Any], of: int, names: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Law, verdict, targets and why, a row for each verdict that some target has."""
    if law["ready"]:
        yield law["law"], "ready", _of(law["ready"], of, names), ""
    for state, words in (("thin", "fits, but thin"), ("missing", "cannot be fitted")):
        if law[state]:
            yield law["law"], words, _of(list(law[state]), of, names), _reasons(law[state], names)


def _some(targets: list[str], of: int, names: Mapping[str, str]) -> str:
    return _of(targets, 0, names) if len(targets) <= 3 else f"{len(targets)} of {of}"


def _reasons(by_target: Mapping[str, list[str]], names: Mapping[str, str]) -> str:
    """Reasons with the targets that they hold for, if not all; those of most targets first."""
    targets: dict[str, list[str]] = {}
    for target, reasons in by_target.items():
        for reason in reasons:
            targets.setdefault(reason, []).append(target)
    ranked = sorted(targets.items(), key=lambda item: -len(item[1]))
    whole = len(by_target)
    parts = [r if len(own) == whole else f"{r} ({_some(own, whole, names)})" for r, own in ranked[:4]]
    more = f"; {count(len(ranked) - 4, 'more reason')}" if len(ranked) > 4 else ""
    return "; ".join(parts) + more
