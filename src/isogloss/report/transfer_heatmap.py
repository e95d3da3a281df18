"""The matrix of scores as a heatmap: every pair, or means by family where there are too many languages."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from isogloss.report.finding import asked, by_family, by_script, finder, group_order, matches
from isogloss.report.theme import rows
from isogloss.report.transfer_rows import PairRow, Shown, score, with_interval
from isogloss.report.words import count

# Cells of fewer languages have room for their number.
NUMBERED = 14
# Names of more languages than this cannot be read beside a matrix, and its cells would make the page heavy.
MOST_CELLS = 80
BTS = "score (BTS)"


def heatmap(shown: Shown, title: str, subtitle: str) -> Any:
    """Sources across, targets down; colours meet at the null; what was measured has an outline.

    A name that the reader asks for stands out.
    """
    targets, sources = shown.targets(), shown.sources()
    names, size = shown.names, max(len(targets), len(sources))
    reach = float(np.quantile([abs(r.bts) for r in shown.rows], 0.98)) or 1.0
    cells = [
        {
            "target": names[r.target],
            "source": names[r.source],
            "bts": round(r.bts, 4),
            "said": score(r.bts),
            "interval": _interval(r, shown.level),
            "kind": r.kind,
            "model": with_interval(*r.model) if r.model else "",
            "measured": r.measured,
            "depth": round(abs(r.bts) / reach, 3),
        }
        for r in shown.rows
    ]
    small = 10.5 if size <= 45 else 8 if size <= 80 else 6.5
    # Cells keep their size: on a phone a large matrix scrolls, and its names stay readable.
    wide, high = (46, 26) if size <= NUMBERED else (22, 17) if size <= 45 else (11, 11) if size <= 80 else (9, 9)
    x = alt.X(
        "source:N",
        sort=[names[c] for c in sources],
        axis=alt.Axis(title="source", orient="top", labelAngle=-60, labelFontSize=small, labelOverlap=size > 45),
    )
    y = alt.Y(
        "target:N",
        sort=[names[c] for c in targets],
        axis=alt.Axis(title="target", labelFontSize=small, labelOverlap=True),
    )
    fields = [("target", "target"), ("source", "source"), ("said", BTS), ("interval", "interval"), ("kind", "kind")]
    if any(r.model for r in shown.rows):
        fields.append(("model", "our model"))
    tip = [alt.Tooltip(f"{field}:N", title=words) for field, words in fields]
    base = alt.Chart(rows(cells)).encode(x=x, y=y, tooltip=tip)
    cell = base.mark_rect().encode(color=_colour(reach))
    if size > NUMBERED:
        lit = f"!({asked()}) || {matches('source', 'target')}"
        cell = cell.encode(opacity=alt.condition(lit, alt.value(1), alt.value(0.12)))
    layers = [cell]
    if 0 < len(shown.measured) < len(shown.rows):
        outlined = alt.Chart(rows([c for c in cells if c["measured"]])).encode(x=x, y=y, tooltip=tip)
        layers.append(outlined.mark_rect(style="outline", fillOpacity=0))
    if size <= NUMBERED:
        for style, test in (("ink", "datum.depth <= inverse_from"), ("inverse", "datum.depth > inverse_from")):
            layers.append(base.transform_filter(test).mark_text(style=style, fontSize=10.5).encode(text="said:N"))
    chart = alt.layer(*layers)
    if size > NUMBERED:
        chart = chart.add_params(finder())
    return chart.properties(width=wide * len(sources), height=high * len(targets), title=_told(title, subtitle))


def group_heatmap(shown: Shown, *, title: str, subtitle: str) -> Any:
    """Means over the pairs of a source's and a target's family, and of their scripts.

    Of a name that is asked for the cells of its groups stand out.
    """
    groups = {"family": by_family(shown.languages), "script": by_script(shown.languages)}
    several = {what: group for what, group in groups.items() if what == "family" or len(set(group.values())) > 1}
    found = {what: _by_pair(shown, group) for what, group in several.items()}
    # One scale, and one field for a name, for both.
    means = [abs(float(np.mean([r.bts for r in mine]))) for pairs in found.values() for mine in pairs.values()]
    reach = float(np.quantile(means, 0.98)) or 1.0
    drawn = [_means(shown, group, found[what], what, reach) for what, group in several.items()]
    drawn[0] = drawn[0].properties(title=_told(title, subtitle))
    return drawn[0] if len(drawn) == 1 else alt.vconcat(*drawn)


def _by_pair(shown: Shown, group: dict[str, str]) -> dict[tuple[str, str], list[PairRow]]:
    found: dict[tuple[str, str], list[PairRow]] = {}
    for r in shown.rows:
        found.setdefault((group[r.target], group[r.source]), []).append(r)
    return found


def _means(
    shown: Shown, group: dict[str, str], found: dict[tuple[str, str], list[PairRow]], what: str, reach: float
) -> Any:
    order = group_order(group.values())
    sizes = {name: sum(g == name for g in group.values()) for name in order}
    label = {name: f"{name} ({sizes[name]})" for name in order}
    members = {name: " ".join(shown.names[c] for c, g in group.items() if g == name) for name in order}
    means = {pair: float(np.mean([r.bts for r in mine])) for pair, mine in found.items()}
    # Of each group once: as often as there are cells it would be most of the page.
    listed = rows([{"group": label[name], "members": members[name]} for name in order])
    cells = [
        {
            "target": label[target],
            "source": label[source],
            "bts": round(means[target, source], 4),
            "said": score(means[target, source]),
            "range": _range(shown, mine),
            "pairs": _pairs(mine),
        }
        for (target, source), mine in found.items()
    ]
    names = [label[name] for name in order]
    wide, high = (38, 24) if len(order) <= 20 else (30, 22)
    x = alt.X("source:N", sort=names, axis=alt.Axis(title=f"{what} of the source", orient="top", labelAngle=-60))
    y = alt.Y("target:N", sort=names, axis=alt.Axis(title=f"{what} of the target"))
    fields = [("target", "target"), ("source", "source"), ("said", f"mean {BTS}"), ("range", "from"), ("pairs", "of")]
    tip = [alt.Tooltip(f"{field}:N", title=words) for field, words in fields]
    chart = alt.Chart(rows(cells))
    for side in ("target", "source"):
        held = alt.LookupData(listed, key="group", fields=["members"])
        chart = chart.transform_lookup(lookup=side, from_=held, as_=[f"of_{side}"])
    lit = f"!({asked()}) || {matches('of_source', 'of_target')}"
    shade = alt.condition(lit, alt.value(1), alt.value(0.12))
    chart = chart.mark_rect().encode(x=x, y=y, color=_colour(reach), tooltip=tip, opacity=shade).add_params(finder())
    return chart.properties(width=wide * len(order), height=high * len(order))


def _range(shown: Shown, mine: list[PairRow]) -> str:
    worst, best = min(mine, key=lambda r: r.bts), max(mine, key=lambda r: r.bts)
    ends = (f"{score(r.bts)} ({shown.names[r.source]} → {shown.names[r.target]})" for r in (worst, best))
    return " to ".join(ends)


def _pairs(mine: list[PairRow]) -> str:
    measured = sum(r.measured for r in mine)
    return count(len(mine), "pair") + (f", {measured:,} measured" if measured else "")


def _colour(reach: float) -> Any:
    # The default interpolation would pass from orange to blue by way of pink.
    scale = alt.Scale(domain=[-reach, reach], domainMid=0, range="diverging", interpolate="rgb", clamp=True)  # type: ignore[arg-type]
    legend = alt.Legend(
        title=f"{BTS}: harms below 0, helps above", titleLimit=400, gradientLength=240, format="+.1f", tickCount=5
    )
    return alt.Color("bts:Q", scale=scale, legend=legend)


def _told(title: str, subtitle: str) -> Any:
    return alt.TitleParams(title, subtitle=subtitle.split("\n"), frame="group", subtitlePadding=4)


def _interval(row: PairRow, level: float) -> str:
    if row.low is None or row.high is None:
        return "not known"
    return f"{score(row.low)} to {score(row.high)} ({level:.0%})"
