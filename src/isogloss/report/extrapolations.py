"""What laws said of runs beyond those they were fitted to, against what these runs then lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import polars as pl

from isogloss.report.card import Card
from isogloss.report.runs_page import named
from isogloss.report.theme import NUMBER_LABELS, even_ticks, rows
from isogloss.report.words import count, listed, loss, per_cent

if TYPE_CHECKING:
    from isogloss.fitting import Comparison

BEYOND = ("N", "D", "C")
WORDS = {"N": "largest N", "D": "largest D", "C": "largest C"}
LARGEST = {"N": "models", "D": "numbers of tokens", "C": "budgets"}
TITLE = "Held-out extrapolation"
PANELS = 6
# Points per panel: more would cover each other and make the page heavy.
MOST = 400
HEIGHT = 250


def extrapolation_card(answer: Comparison) -> Card:
    """A panel per law: the one to use, then the others by rank."""
    splits = [s.name for name in BEYOND for s in answer.splits if s.name == name]
    laws = _ordered(answer)
    scored = answer.predictions.filter(pl.col("split").is_in(splits) & pl.col("law").is_in(laws))
    if not scored.height:
        return Card("extrapolation", TITLE, "Neither the largest models, tokens nor budgets could be held out.")
    drawn = laws[:PANELS]
    chart, beyond = extrapolation_chart(answer, scored, drawn, splits)
    notes = ["Each point is a row that the law never saw, against the line where both are equal."]
    if len(laws) > PANELS:
        notes.append(f"The {PANELS} best of {count(len(laws), 'law')} are drawn.")
    if beyond:
        notes.append(f"Triangles at the edge of a panel: points beyond it, {beyond:,} in all.")
    if scored["low"].is_not_null().any():
        notes.append(
            f"Bars are {answer.level:.0%} intervals of the loss that a run would have: what the fitted runs leave open "
            "of the coefficients, and their own scatter. Fewer inside than that: the law itself errs beyond its runs."
        )
    else:
        notes.append("Predictions of laws that were fitted to several languages together have no interval here.")
    shown = scored.filter(pl.col("law") == drawn[0]).height
    # Without run ids each row is a run of its own.
    runs = scored["run_id" if "run_id" in scored.columns else "row"].n_unique()
    return Card(
        id="extrapolation",
        title=TITLE,
        sentence=_sentence(answer, drawn[0], splits) + _held_said(answer, scored, drawn[0], splits),
        chart=chart,
        notes=tuple(notes),
        evidence=f"{count(shown, 'held-out row')} of {count(runs, 'run')} from {answer.source}; R² with its "
        f"{answer.level:.0%} interval over draws of held-out runs.",
    )


def _ordered(answer: Comparison) -> list[str]:
    ranked = [r.name for r in answer.ranking]
    laws = ranked + [law.name for law in answer.laws if law.name not in ranked]
    return sorted(laws, key=lambda name: name != answer.choice)


def _sentence(answer: Comparison, law: str, splits: list[str]) -> str:
    cells = [c for s in splits if (c := answer.score(law, s))["error"] is not None]
    if not cells:
        return f"{law} could not be scored on runs beyond those that were fitted."
    parts = [f"{per_cent(c['error'])}{_ends(c)} on the largest {LARGEST[c['split']]}" for c in cells]
    return f"Half of what {law} predicts is off by less than {listed(parts)}."


def inside(scored: pl.DataFrame, law: str, split: str) -> float | None:
    """The part of a split's held-out losses that lie in the law's intervals; None where it has none."""
    held = (pl.col("loss") >= pl.col("low")) & (pl.col("loss") <= pl.col("high"))
    mine = scored.filter((pl.col("law") == law) & (pl.col("split") == split)).select(held.mean())
    return mine.item()


def _held_said(answer: Comparison, scored: pl.DataFrame, law: str, splits: list[str]) -> str:
    held = [part for s in splits if (part := inside(scored, law, s)) is not None]
    if not held:
        return ""
    return f" Its {answer.level:.0%} intervals hold {listed([_whole(part) for part in held])} of these losses."


def _whole(part: float) -> str:
    return f"{100 * part:.0f}\u00a0%"


def _ends(cell: dict[str, Any]) -> str:
    if cell["error_low"] is None:
        return ""
    return f" ({per_cent(cell['error_low'])} to {per_cent(cell['error_high'])})"


def extrapolation_chart(
    answer: Comparison, scored: pl.DataFrame, laws: list[str], splits: list[str]
) -> tuple[Any, int]:
    """The panels, and how many points lie beyond them."""
    domain = _domain(scored["loss"].to_numpy())
    panels, beyond = [], 0
    names = named(scored["target"].cast(pl.String).unique().to_list()) if "target" in scored.columns else {}
    for law in laws:
        mine = scored.filter(pl.col("law") == law)
        beyond += sum(_outside(r, domain) for r in mine.select("loss", "predicted").to_dicts())
        panels.append(_panel(answer, law, mine, splits, domain, names))
    return alt.hconcat(*panels), beyond


def _domain(observed: np.ndarray) -> tuple[float, float]:
    """The observed losses but those far out (Tukey's outer fences), which would press all others together."""
    lower, upper = np.quantile(observed, [0.25, 0.75])
    far = 3 * (upper - lower) or 1.0
    low = float(observed[observed >= lower - far].min())
    high = float(observed[observed <= upper + far].max())
    room = 0.1 * (high - low) or 0.05
    return low - room, high + room


def _outside(row: dict[str, Any], domain: tuple[float, float]) -> bool:
    return any(not domain[0] <= row[c] <= domain[1] for c in ("loss", "predicted"))


def _thinned(frame: pl.DataFrame) -> pl.DataFrame:
    if frame.height <= MOST:
        return frame
    return frame[np.unique(np.linspace(0, frame.height - 1, MOST).astype(int))]


def _panel(
    answer: Comparison,
    law: str,
    frame: pl.DataFrame,
    splits: list[str],
    domain: tuple[float, float],
    names: dict[str, str],
) -> Any:
    points = [_point(r, domain, names) for r in _thinned(frame).to_dicts()]
    scale = alt.Scale(domain=list(domain), nice=False)
    axis: dict[str, Any] = {"values": even_ticks(*domain, most=6), "labelExpr": NUMBER_LABELS}
    x = alt.X("loss:Q", scale=scale, axis=alt.Axis(title=f"observed loss ({answer.unit})", **axis))
    y = alt.Y("predicted:Q", scale=scale, axis=alt.Axis(title="predicted loss", **axis))
    held = [WORDS[s] for s in splits]
    colour = alt.Color("held:N", scale=alt.Scale(domain=held), legend=alt.Legend(symbolOpacity=1))
    shape = alt.condition("datum.at_edge", alt.value("triangle-up"), alt.value("circle"))
    fields = [("run", "run"), ("row", "row"), ("target", "target"), ("said", "predicted / observed")]
    fields += [("error", "error"), ("span", "interval"), ("held", "held out")]
    tip = [alt.Tooltip(f"{f}:N", title=t) for f, t in fields]
    line = alt.Chart(rows([{"loss": v, "predicted": v} for v in domain])).mark_line(style="guide").encode(x=x, y=y)
    dots = alt.Chart(rows(points)).mark_point(size=24, opacity=0.55)
    scores = [f"R² {WORDS[s]}: {_r2(answer.score(law, s))}{_inside_words(frame, law, s)}" for s in splits]
    title = alt.TitleParams(law, subtitle=scores, frame="group", subtitlePadding=3)
    layers = [line]
    if any("low" in point for point in points):
        spans = [{k: p[k] for k in ("loss", "low", "high", "held")} for p in points if "low" in p]
        bars = alt.Chart(rows(spans)).mark_rule(strokeWidth=1, opacity=0.3)
        low = alt.Y("low:Q", scale=scale)
        layers.append(bars.encode(x=x, y=low, y2="high:Q", color=colour))
    layers.append(dots.encode(x=x, y=y, color=colour, shape=shape, tooltip=tip))
    return alt.layer(*layers).properties(width="container", height=HEIGHT, title=title)


def _inside_words(frame: pl.DataFrame, law: str, split: str) -> str:
    held = inside(frame, law, split)
    return "" if held is None else f", {_whole(held)} inside"


def _point(row: dict[str, Any], domain: tuple[float, float], names: dict[str, str]) -> dict[str, Any]:
    predicted, target = float(row["predicted"]), str(row.get("target") or "")
    ends = _ends_of(row)
    return {
        **({} if ends is None else dict(zip(("low", "high"), np.clip(ends, *domain).tolist(), strict=True))),
        "span": "not known" if ends is None else f"{loss(ends[0])} to {loss(ends[1])}",
        "loss": float(np.clip(row["loss"], *domain)),
        "predicted": float(np.clip(predicted, *domain)),
        "at_edge": _outside(row, domain),
        "run": str(row.get("run_id") or f"row {row['row']}"),
        "row": row["row"],
        "target": names.get(target, target),
        "held": WORDS[row["split"]],
        "said": f"{loss(predicted)} / {loss(row['loss'])}",
        "error": per_cent(predicted / row["loss"] - 1, signed=True),
    }


def _ends_of(row: dict[str, Any]) -> tuple[float, float] | None:
    low, high = row["low"], row["high"]
    if low is None or high is None or not np.isfinite([low, high]).all():
        return None
    return float(low), float(high)


def _r2(cell: dict[str, Any]) -> str:
    from isogloss.report.comparisons import score_words

    return score_words(cell)
