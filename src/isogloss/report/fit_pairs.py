"""How the draws of the coefficients move together: a small panel for every two, in one view that fits a phone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import polars as pl

from isogloss.fitting.drawn import moved_draws
from isogloss.report.card import Card
from isogloss.report.fit_charts import fit_source
from isogloss.report.theme import rows
from isogloss.report.words import MINUS, about, count, listed, value

if TYPE_CHECKING:
    from isogloss.fitting import Fit

MOST = 5
# Points per panel: all draws would make the page heavy and say no more.
DOTS = 200
BINS = 24
# The part of a cell's side that its marks use, and of the draws that lie within it.
INSIDE, REACH = 0.8, 0.99
TALL, STRONG = 106, 0.9
TITLE = "How coefficients move together"


def pairs_card(fit: Fit) -> Card:
    found = fit.correlations().to_dicts()
    names = list(dict.fromkeys(n for r in found for n in (r["one"], r["other"])))
    if len(names) < 2:
        why = "there are no draws" if len(fit.draws) < 3 else "fewer than two coefficients vary"
        return Card("pairs", TITLE, f"Nothing to show: {why}.")
    shown = _chosen(names, fit)
    notes = [
        "Each panel holds draws of two coefficients, with a cross at the fit as made, and opposite its correlation; on "
        "the diagonal is how often each value occurs. Below each column are the ends of its scale, which hold "
        f"{REACH:.0%} of the draws; scales are logarithmic for {_logarithmic(fit, shown)}."
    ]
    if {"A", "alpha"} <= set(names) or {"B", "beta"} <= set(names):
        notes.append("A and B follow their exponents by their units, N^alpha and D^beta.")
    rest = [n for n in names if n not in shown]
    if rest:
        notes.append(f"Not drawn: {listed(rest, most=12)}.")
    return Card(
        id="pairs",
        title=TITLE,
        sentence=_sentence(found),
        chart=pairs_chart(fit, shown, found),
        table=pl.DataFrame(
            {
                "One": [r["one"] for r in found],
                "Other": [r["other"] for r in found],
                "Correlation": [_signed(r["correlation"]) for r in found],
            }
        )
        if rest
        else None,
        formats={"Correlation": "number"} if rest else {},
        notes=tuple(notes),
        evidence=f"{count(min(len(fit.draws), DOTS), 'draw')} of {len(fit.draws):,} ({fit.intervals}) shown; "
        f"correlations are of all. {fit_source(fit)}",
    )


def _chosen(names: list[str], fit: Fit) -> list[str]:
    """At most five: those that the runs cannot tell apart first, in the law's order."""
    wanted = [n for n in names if n in fit.health.entangled] + [n for n in names if n not in fit.health.entangled]
    return [n for n in names if n in wanted[:MOST]]


def _logarithmic(fit: Fit, shown: list[str]) -> str:
    found = [s.name for s in fit.layout.slots if s.log and s.name in shown]
    return "all" if len(found) == len(shown) else listed(found, most=9)


def _own_units(one: str, other: str) -> bool:
    return {one, other} in ({"A", "alpha"}, {"B", "beta"})


def _sentence(found: list[dict[str, Any]]) -> str:
    """The strongest correlation that is no matter of units."""
    told = [r for r in found if not _own_units(r["one"], r["other"])] or found
    first = max(told, key=lambda r: abs(r["correlation"]))
    size = abs(first["correlation"])
    how = "rises with" if first["correlation"] > 0 else "falls as"
    pair = f"{first['one']} {how} {first['other']}{'' if first['correlation'] > 0 else ' rises'}"
    if size < 0.5:
        return f"No two coefficients move closely together; the closest: {pair} (correlation {_signed(size)})."
    tail = ": the runs tell their combination, not each alone" if size > STRONG else ""
    return f"Across the draws {pair} (correlation {_signed(first['correlation'])}){tail}."


def pairs_chart(fit: Fit, shown: list[str], found: list[dict[str, Any]]) -> Any:
    """Cells of one unit, coefficient j across and k down, below the diagonal; what each holds is scaled to it."""
    cells = {name: _Scale(fit, name) for name in shown}
    k = len(shown)
    at = np.unique(np.linspace(0, len(fit.draws) - 1, DOTS).astype(int))
    dots, crosses, said = [], [], []
    known = {frozenset((r["one"], r["other"])): r["correlation"] for r in found}
    for row in range(k):
        for column in range(row):
            a, b = cells[shown[column]], cells[shown[row]]
            both = zip(a.places[at], b.places[at], at, strict=True)
            dots += [
                {"x": round(column + u, 3), "y": round(k - 1 - row + v, 3), "is": _draw(a, b, int(i))}
                for u, v, i in both
                if 0 <= u <= 1 and 0 <= v <= 1
            ]
            crosses.append({"x": column + a.centre, "y": k - 1 - row + b.centre, "is": f"{a.said}, {b.said}"})
            r = known[frozenset((a.name, b.name))]
            # Above the diagonal, where the mirror image would be.
            said.append({"x": row + 0.5, "y": k - 1 - column + 0.5, "label": _signed(r), "weight": abs(r)})
    x = alt.X("x:Q", scale=alt.Scale(domain=[-0.02, k + 0.02], nice=False), axis=None)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[-0.3, k + 0.02], nice=False), axis=None)
    frames = [
        {"x": c + 0.02, "x2": c + 0.98, "y": k - 1 - r + 0.02, "y2": k - r - 0.02}
        for r in range(k)
        for c in range(r + 1)
    ]
    bars = [bar for i, name in enumerate(shown) for bar in cells[name].bars(i, k - 1 - i)]
    names = [{"x": i + 0.06, "y": k - i - 0.06, "label": n} for i, n in enumerate(shown)]
    ticks = [t for i, n in enumerate(shown) for t in cells[n].ticks(i)]
    tip = alt.Tooltip("is:N", title=" ")
    strength = alt.Opacity("weight:Q", scale=alt.Scale(domain=[0, 1], range=[0.6, 1]), legend=None)
    box = {"x": x, "x2": "x2:Q", "y": y, "y2": "y2:Q"}

    def layer(values: list[dict[str, Any]]) -> Any:
        return alt.Chart(rows(values))

    def words(values: list[dict[str, Any]], **look: Any) -> Any:
        return layer(values).mark_text(**look).encode(x=x, y=y, text="label:N")

    layers = [
        layer(frames).mark_rect(style="rule", filled=False, strokeWidth=1, opacity=0.6).encode(**box),
        layer(bars).mark_rect(style="plan", opacity=0.55).encode(**box, tooltip=tip),
        layer(dots).mark_point(style="plan", size=9, opacity=0.35).encode(x=x, y=y, tooltip=tip),
        layer(crosses).mark_point(style="warm", shape="cross", size=70, opacity=1).encode(x=x, y=y, tooltip=tip),
        words(names, style="ink", align="left", baseline="top", fontWeight=600, fontSize=13),
        words(said, style="ink", fontSize=13).encode(opacity=strength),
        words(ticks, style="note", baseline="top", fontSize=10.5),
    ]
    return alt.layer(*layers).properties(width="container", height=TALL * k + 26)


class _Scale:
    """One coefficient's draws as places from 0 to 1 in a cell."""

    def __init__(self, fit: Fit, name: str) -> None:
        self.name, self.slot = name, fit.layout.names.index(name)
        self.log = fit.layout.slots[self.slot].log
        moved = moved_draws(fit, self.slot)
        middle = float(fit.values[self.slot])
        centre = math.log(max(middle, 1e-300)) if self.log else middle
        tail = (1 - REACH) / 2
        low, high = np.quantile(moved, [tail, 1 - tail])
        self.low, self.high = min(float(low), centre), max(float(high), centre)
        self.raw = fit.draws[:, self.slot]
        self.places = self._place(moved)
        self.centre, self.said = float(self._place(np.array([centre]))[0]), f"{name} = {value(middle)}"

    def _place(self, moved: np.ndarray) -> np.ndarray:
        room = (1 - INSIDE) / 2
        return room + INSIDE * (moved - self.low) / max(self.high - self.low, 1e-300)

    def _value(self, place: float) -> float:
        moved = self.low + (place - (1 - INSIDE) / 2) / INSIDE * (self.high - self.low)
        return math.exp(moved) if self.log else moved

    def bars(self, column: int, floor: int) -> list[dict[str, Any]]:
        counts, edges = np.histogram(self.places, bins=BINS, range=((1 - INSIDE) / 2, (1 + INSIDE) / 2))
        return [
            {
                "x": round(column + float(a), 4),
                "x2": round(column + float(b), 4),
                "y": floor + 0.02,
                "y2": round(floor + 0.02 + 0.66 * int(n) / int(counts.max()), 4),
                "is": f"{self.name} {value(self._value(float(a)))} to {value(self._value(float(b)))}: {int(n):,} draws",
            }
            for n, a, b in zip(counts, edges[:-1], edges[1:], strict=True)
            if n
        ]

    def ticks(self, column: int) -> list[dict[str, Any]]:
        """Below its column: the ends of the range that its cells show."""
        ends = ((1 - INSIDE) / 2, (1 + INSIDE) / 2)
        return [{"x": column + 0.5, "y": -0.06, "label": " – ".join(_short(self._value(e)) for e in ends)}]


def _draw(a: _Scale, b: _Scale, i: int) -> str:
    return f"{a.name} = {value(float(a.raw[i]))}, {b.name} = {value(float(b.raw[i]))}"


def _short(number: float) -> str:
    return about(number) if abs(number) >= 1000 else value(float(f"{number:.2g}"))


def _signed(correlation: float) -> str:
    return f"{correlation:.2f}".replace("-", MINUS)
