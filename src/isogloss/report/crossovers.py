"""Where to start a model, as cards."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import polars as pl

from isogloss.planning.crossover_published import FORMS, LEAST_N, MEASURED_N, MOST_N
from isogloss.report.card import Card
from isogloss.report.theme import FLOP_LABELS, NUMBER_LABELS, log_axis, rows, widened
from isogloss.report.words import NOTHING, flops, language_names, listed, loss, quantity, short_unit, value

if TYPE_CHECKING:
    from isogloss.planning.crossover import Crossover
    from isogloss.planning.start import LossCurve, Way

WORDS = {"scratch": "from scratch", "continue": "continued", "grow": "grown", "merge": "merged"}
TITLES = {
    "scratch": "Scratch",
    "continue": "Continue",
    "grow": "Grow",
    "merge": "Merge",
}
HEIGHT = 320


def crossover_title(answer: Crossover) -> tuple[str, str]:
    """Title and subtitle of the page."""
    name = language_names([answer.language])[answer.language]
    budget = f", {flops(answer.flops)} training FLOPs" if answer.flops else ""
    return f"{name}: where to start", f"{quantity(answer.params)} parameters{budget}; scratch against {answer.start}"


def crossover_cards(answer: Crossover) -> list[Card]:
    """The answer with its curves, where scratch overtakes continuing, every way, and what all this rests on."""
    fitted = answer.way("continue").curve is not None
    cards = [answer_card(answer), *([] if fitted else [sizes_card(answer)]), ways_card(answer)]
    return [*cards, *([checkpoint_card(answer)] if answer.checkpoint else []), evidence_card(answer)]


def answer_card(answer: Crossover) -> Card:
    crossing = answer.crossing
    rows_ = [
        ("Crossing, FLOPs", _or_dash(crossing.C)),
        (f"{100 * crossing.level:g} % interval", _interval(answer)),
        ("Tokens there", NOTHING if answer.tokens is None else quantity(answer.tokens)),
        ("Unique tokens of text", NOTHING if answer.text is None else quantity(answer.text)),
        ("4 epochs of it, FLOPs", _or_dash(answer.text_limit)),
    ]
    if answer.flops is not None:
        ends = answer.text_limit is not None and answer.text_limit < answer.flops
        words = "Ahead at the budget, were there text enough" if ends else "Ahead at the budget"
        rows_.append((words, _ahead(crossing.continue_is_better(answer.flops))))
    unit = answer.way("scratch").curve
    return Card(
        id="answer",
        title="Scratch or continue",
        sentence=answer.recommendation,
        chart=curves_chart(answer),
        table=pl.DataFrame({"Quantity": [a for a, _ in rows_], "Value": [b for _, b in rows_]}),
        formats={"Value": "number"},
        notes=(
            "Compute in FLOPs is 6 N D of this training alone: what the checkpoint cost is spent already.",
            *([f"Loss is {unit.unit}."] if unit else []),
            *_curve_notes(answer),
        ),
        evidence=f"Crossing with its {100 * crossing.level:g}\u00a0% interval, from {_kinds(answer)}; each is under "
        "“What this rests on”.",
    )


def _kinds(answer: Crossover) -> str:
    """3 published and 1 assumed input."""
    kinds = Counter(e.kind for e in answer.evidence)
    said = listed([f"{number} {kind}" for kind, number in kinds.most_common()])
    return f"{said} {'input' if kinds.total() == 1 else 'inputs'}"


def _curve_notes(answer: Crossover) -> list[str]:
    if answer.way("continue").curve is not None:
        return ["Bands are of the fit's draws, of the law itself and not of one run's noise."]
    return [
        "There is no curve for continuing: nobody has published one that could be scaled. Left of the shaded interval "
        "it lies below the line of scratch, right of it above."
    ]


def curves_chart(answer: Crossover) -> Any:
    """Loss against compute for each way that has a curve, with the crossing, its interval, text and budget."""
    curves = [(way, way.curve) for way in answer.ways if way.curve is not None]
    domain = (min(float(c.C[0]) for _, c in curves), max(float(c.C[-1]) for _, c in curves))
    values = [float(v) for _, c in curves for band in (c.loss, c.low, c.high) if band is not None for v in band]
    low, high = min(values), max(values)
    room = 0.06 * (high - low)
    x = log_axis(
        alt.X, "C", "training compute, FLOPs (logarithmic scale)", domain, labels=FLOP_LABELS, most=6, grid=False
    )
    scale = alt.Scale(domain=[low - room, high + room], nice=False)
    axis = alt.Axis(title=f"expected loss, {short_unit(curves[0][1].unit)}", tickCount=6, labelExpr=NUMBER_LABELS)
    y = alt.Y("loss:Q", scale=scale, axis=axis)
    names = [WORDS[way.name] for way, _ in curves]
    colour = alt.Color("way:N", scale=alt.Scale(domain=names), legend=alt.Legend(symbolType="stroke", symbolOpacity=1))
    points = [p for way, curve in curves for p in _points(way, curve)]
    layers = _interval_layers(answer, domain, x)
    banded = [p for p in points if "low" in p]
    if banded:
        # The same axis: a layer without a title takes it from all.
        edges = {"y": alt.Y("low:Q", scale=scale, axis=axis), "y2": "high:Q"}
        layers.append(alt.Chart(rows(banded)).mark_area(opacity=0.16, clip=True).encode(x=x, color=colour, **edges))
    tips = [
        alt.Tooltip(f"{k}:N", title=t)
        for k, t in (("way", "way"), ("is", "loss"), ("at", "FLOPs"), ("tokens", "tokens"))
    ]
    line = alt.Chart(rows(points)).encode(x=x, y=y, color=colour, tooltip=tips)
    layers += [line.mark_line(clip=True), line.mark_point(size=160, opacity=0)]
    return alt.layer(*layers, *_marks(answer, domain, x)).properties(width="container", height=HEIGHT)


def _points(way: Way, curve: LossCurve) -> list[dict[str, Any]]:
    out = []
    for i in range(len(curve.C)):
        said = loss(float(curve.loss[i]))
        point: dict[str, Any] = {"way": WORDS[way.name], "C": float(curve.C[i]), "loss": float(curve.loss[i])}
        if curve.low is not None and curve.high is not None:
            point |= {"low": float(curve.low[i]), "high": float(curve.high[i])}
            said += f" ({loss(point['low'])} to {loss(point['high'])})"
        out.append(point | {"is": said, "at": flops(point["C"]), "tokens": quantity(float(curve.D[i]))})
    return out


def _interval_layers(answer: Crossover, domain: tuple[float, float], x: Any) -> list[Any]:
    """The shaded interval of the crossing, and its middle."""
    crossing = answer.crossing
    if crossing.C is None:
        return []
    start, end = max(crossing.low or domain[0], domain[0]), min(crossing.high or domain[1], domain[1])
    span = [{"C": start, "end": end, "is": _interval(answer)}]
    tip = [alt.Tooltip("is:N", title="interval of the crossing")]
    band = alt.Chart(rows(span)).mark_rect(style="outside").encode(x=x, x2="end:Q", tooltip=tip)
    rule = alt.Chart(rows([{"C": crossing.C}])).mark_rule(style="rule", strokeWidth=1.5).encode(x=x)
    return [band, rule]


def _marks(answer: Crossover, domain: tuple[float, float], x: Any) -> list[Any]:
    """Words at lines that stand for compute: the crossing, the end of the text, the budget."""
    marks = [
        (answer.crossing.C, f"crossing {_short(answer.crossing.C)}", None),
        (answer.text_limit, "4 epochs of the text", "guide"),
        (answer.flops, "budget", "guide"),
    ]
    layers: list[Any] = []
    middle = math.sqrt(domain[0] * domain[1])
    for place, (C, words, style) in enumerate(marks):
        if C is None or not domain[0] <= C <= domain[1]:
            continue
        data = rows([{"C": C, "label": words}])
        if style:
            layers.append(alt.Chart(data).mark_rule(style=style).encode(x=x))
        # Words that begin at a line in the right half would leave the picture.
        side = {"align": "left", "dx": 5} if middle > C else {"align": "right", "dx": -5}
        text = alt.Chart(data).encode(x=x, y=alt.value(12 + 17 * place), text="label:N")
        layers += [text.mark_text(style="halo", **side), text.mark_text(style="note", **side)]
    return layers


def sizes_card(answer: Crossover) -> Card:
    """How the crossing moves with size: both published formulas, the eight languages, and this question."""
    crossing = answer.crossing
    ends = [v for v in (crossing.low, crossing.high) if v]
    return Card(
        id="sizes",
        title="The crossing at other sizes",
        sentence=f"The two published formulas that agree with their figure give {_form_range(answer.params)} FLOPs at "
        f"{quantity(answer.params)} parameters; with language and checkpoint the interval is {_interval(answer)}.",
        chart=sizes_chart(answer.params, crossing.C, (min(ends), max(ends)) if ends else None),
        notes=(
            f"Lines: ATLAS (arXiv:2510.22037), figure 7 and section 6; sizes up to {quantity(MOST_N)} parameters, "
            "dashed beyond. Dots: its eight languages at 2B (figure 6). Bar: this question.",
        ),
        evidence="Two published formulas and eight languages measured at 2B, ATLAS (arXiv:2510.22037).",
    )


def _lines() -> list[tuple[float, float]]:
    from isogloss.laws import find

    return [(find(id).coefficients["c"], find(id).coefficients["p"]) for id in FORMS]


def _form_range(N: float) -> str:
    found = sorted(c * N**p for c, p in _lines())
    return f"{flops(found[0])} to {flops(found[-1])}"


def sizes_chart(N: float, C: float | None, interval: tuple[float, float] | None) -> Any:
    from isogloss.laws import find

    domain = (min(1e8, N / 2), max(MOST_N * 2, N * 2))
    lines = []
    for c, p in _lines():
        for part in ((domain[0], LEAST_N), (max(domain[0], LEAST_N), min(MOST_N, domain[1])), (MOST_N, domain[1])):
            if part[0] < part[1]:
                inside = part[1] <= MOST_N and part[0] >= LEAST_N
                lines += [
                    {
                        "N": n,
                        "C": c * n**p,
                        "form": f"C = {value(c)} N^{p:.2f}",
                        "at": f"{flops(c * n**p)} FLOPs at {quantity(n)}",
                        "part": f"{c:.0f} {part[0]:.0f}",
                        "inside": inside,
                    }
                    for n in np.geomspace(*part, 12).tolist()
                ]
    table = [
        {"N": MEASURED_N, "C": 6e9 * MEASURED_N * r["crossover_tokens_B"], "lang": r["lang"]}
        for r in find(FORMS[0]).table
    ]
    names = language_names([r["lang"] for r in table])
    dots = [{**r, "language": names[r["lang"]], "tokens": quantity(r["C"] / (6 * MEASURED_N))} for r in table]
    reach = [r["C"] for r in (*lines, *dots)] + list(interval or ())
    x = log_axis(alt.X, "N", "parameters N (logarithmic scale)", domain, most=6)
    y = log_axis(alt.Y, "C", "crossing, FLOPs (logarithmic scale)", widened(reach), labels=FLOP_LABELS, most=6)
    forms = alt.Color("form:N", scale=alt.Scale(domain=sorted({r["form"] for r in lines})))
    base = alt.Chart(rows([r for r in lines if r["inside"]])).encode(x=x, y=y, color=forms, detail="part:N")
    told = [alt.Tooltip("form:N", title="formula"), alt.Tooltip("at:N", title="crossing")]
    layers = [base.mark_line(), base.mark_point(size=90, opacity=0).encode(tooltip=told)]
    outside = [r for r in lines if not r["inside"]]
    if outside:
        dashed = alt.Chart(rows(outside)).mark_line(strokeDash=[4, 4], opacity=0.8)
        layers.append(dashed.encode(x=x, y=y, color=forms, detail="part:N"))
    tips = [alt.Tooltip("language:N"), alt.Tooltip("tokens:N")]
    layers.append(alt.Chart(rows(dots)).mark_point(style="muted", size=28, opacity=0.8).encode(x=x, y=y, tooltip=tips))
    if interval is not None:
        bar = alt.Chart(rows([{"N": N, "C": interval[0], "end": interval[1]}]))
        layers.append(bar.mark_rule(style="ink", strokeWidth=3, opacity=0.5).encode(x=x, y=y, y2="end:Q"))
    if C is not None:
        here = alt.Chart(rows([{"N": N, "C": C}])).mark_point(style="ink", size=90, opacity=1)
        layers.append(here.encode(x=x, y=y))
    return alt.layer(*layers).properties(width="container", height=HEIGHT)


def ways_card(answer: Crossover) -> Card:
    have = [TITLES[w.name] for w in answer.ways if w.curve is not None]
    table = pl.DataFrame(
        {
            "Way": [TITLES[w.name] for w in answer.ways],
            "Expected loss against compute": [_curve_words(w) for w in answer.ways],
        }
    )
    return Card(
        id="ways",
        title="Every way to start",
        sentence=f"{len(have)} of {len(answer.ways)} ways {'has' if len(have) == 1 else 'have'} a loss curve; for the "
        "others no law has been measured, and none is drawn.",
        table=table,
    )


def _curve_words(way: Way) -> str:
    if way.curve is None:
        return way.reason or NOTHING
    C, L = way.curve.C, way.curve.loss
    return f"{loss(float(L[0]))} at {flops(float(C[0]))} FLOPs to {loss(float(L[-1]))} at {flops(float(C[-1]))}"


def checkpoint_card(answer: Crossover) -> Card:
    found = answer.checkpoint
    assert found is not None
    share = found.share(answer.language)
    facts = [
        ("Parameters", quantity(found.params)),
        ("Training tokens", quantity(found.tokens) if found.tokens else "not published"),
        ("Languages named", str(found.languages or "not published")),
        ("Vocabulary", f"{found.vocab_size:,}" if found.vocab_size else "not known"),
        ("Share of the language", f"{share:.2%}" if share is not None else "not published"),
        ("Tokenizer", "the same for scratch" if found.same_tokenizer else "taken to be another"),
        ("Source", found.source),
    ]
    unknown = [name.lower() for name, value in facts[:5] if value.startswith("not ")]
    said = (
        f"Not known: {', '.join(unknown)}; the interval counts that."
        if unknown
        else "All that the rule needs is known."
    )
    table = pl.DataFrame({"What": [a for a, _ in facts], "Value": [b for _, b in facts]})
    return Card(id="checkpoint", title=f"The checkpoint: {found.name}", sentence=said, table=table)


def evidence_card(answer: Crossover) -> Card:
    found = list(dict.fromkeys([*answer.evidence, *(e for way in answer.ways for e in way.evidence)]))
    kinds = [e.kind for e in found]
    said = ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds))
    return Card(
        id="evidence",
        title="What this rests on",
        sentence=f"{len(kinds)} inputs: {said}.",
        table=pl.DataFrame(
            {
                "What": [e.quantity for e in found],
                "Kind": kinds,
                "Source": [e.source for e in found],
            }
        ),
    )


def _ahead(part: float) -> str:
    return f"{'continue' if part >= 0.5 else 'scratch'}, {100 * max(part, 1 - part):.0f} %"


def _or_dash(value: float | None) -> str:
    return NOTHING if value is None else flops(value)


def _short(value: float | None) -> str:
    return NOTHING if value is None else flops(float(f"{value:.2g}"))


def _interval(answer: Crossover) -> str:
    crossing = answer.crossing
    low = "below all studied" if crossing.low is None else _short(crossing.low)
    high = "beyond all studied" if crossing.high is None else _short(crossing.high)
    return f"{low} to {high}"
