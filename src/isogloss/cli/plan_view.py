"""A plan, the user's own plan, and two plans side by side, as text for a terminal of any width."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isogloss.cli.output import console, number, percent, print_table, print_warnings

if TYPE_CHECKING:
    from isogloss.planning import Plan, Uncertainty
    from isogloss.planning.beside import Beside
    from isogloss.planning.given import GivenPlan
    from isogloss.planning.given_savings import Estimate

# Between two columns.
GAP = 2
# A first column is broken into lines of no fewer characters than this.
NARROWEST = 12
# Shares below this are what a search leaves of nothing.
NOTHING = 1e-6


def print_plan(answer: Plan) -> None:
    from isogloss.report.plan_cost import costs
    from isogloss.report.plan_parts import parts_words

    unsure = answer.uncertainty
    title = f"{answer.title}: " if answer.title else ""
    _say(
        f"{title}train {_size(answer)} ({answer.C:.3g} FLOPs, {_ratio(answer.D / answer.N)} tokens per parameter)",
        "bold",
    )
    for line in costs(answer):
        _say(_typed(line))
    if unsure is not None:
        _say(_how_sure(answer, unsure))
    if answer.parts is not None:
        _say(_typed(parts_words(answer)))
    _say(f"Evidence for N, D and the shares: {answer.kind_of('N')}")
    headers, rows = _language_rows(answer)
    print_fitted("", headers, rows, text=2, intervals=[3, 8] if unsure else [])
    headers, rows = _phase_rows(answer)
    print_fitted("\nShares in each phase", headers, rows)
    headers, rows = _corpus_rows(answer)
    print_fitted("\nCorpora", headers, rows, text=2)
    _say("What binds: " + ("; ".join(answer.binds) or "no limit"))
    if answer.start is not None:
        _say(f"Start: {answer.start.sentence} {answer.start.size_sentence}".rstrip())
    if answer.choices is not None:
        _say(answer.choices.sentence)
    headers, rows = _mixture_rows(answer)
    print_fitted("\nNaive mixtures beside it", headers, rows, text=2, intervals=[4, 5] if unsure else [])
    starting = [] if answer.start is None else [f"start: {w}" for w in answer.start.warnings]
    print_warnings([*answer.warnings, *starting])


def print_given(answer: GivenPlan) -> None:
    from isogloss.units import format_quantity

    _say(
        f"Your plan: {format_quantity(answer.N)} parameters on {format_quantity(answer.D)} tokens "
        f"({answer.C:.3g} FLOPs, {_ratio(answer.D / answer.N)} tokens per parameter)",
        "bold",
    )
    _say(f"It should reach a mean loss of {number(answer.mean_loss.value)}{_draws_between(answer)}.")
    if answer.regret is not None:
        low, high = _quantiles(answer.regret, answer.level)
        _say(
            f"Regret against the best plan at its compute: {answer.regret.mean():.2%} on average, "
            f"{low:.2%} to {high:.2%} in {answer.level:.0%} of the draws."
        )
    for broken in answer.breaks:
        _say(f"Breaks a limit of the question: {broken}.", "yellow")
    if answer.start is not None:
        _say(f"Start: {answer.start.sentence} {answer.start.size_sentence}".rstrip())
    _say("\nWhat would be better", "bold")
    words = {"mixture": "at the same N and D", "size": "with the same mixture", "everything": "everything free"}
    for change in answer.changes:
        _say(f"  {words[change.free]}: {change.words}.")
    headers, rows = _given_rows(answer)
    print_fitted("", headers, rows)
    starting = [] if answer.start is None else [f"start: {w}" for w in answer.start.warnings]
    print_warnings([*answer.notes, *answer.best.warnings, *starting])


def print_beside(answer: Beside) -> None:
    from isogloss.units import format_quantity

    a, b = answer.plans
    first, second = answer.names
    rows = [
        ["parameters N", format_quantity(a.N), format_quantity(b.N)],
        ["tokens D", format_quantity(a.D), format_quantity(b.D)],
        ["compute C, FLOPs", f"{a.C:.3g}", f"{b.C:.3g}"],
        ["tokens per parameter", _ratio(a.D / a.N), _ratio(b.D / b.N)],
        ["languages", str(len(a.languages)), str(len(b.languages))],
        ["mean expected loss", *(number(float(p.weights @ p.loss)) for p in (a, b))],
    ]
    if any(p.criterion.short != "mean loss" for p in (a, b)):
        rows.append(["makes small", *(f"{p.criterion.short}: {number(p.objective)}" for p in (a, b))])
    _say(answer.sentence, "bold")
    print_fitted("", ["", first, second], rows)
    if answer.differences:
        table = [[d.key, d.first, d.second] for d in answer.differences]
        print_fitted("\nWhat differs in the questions", ["", first, second], table, text=3)
    else:
        _say("The questions do not differ.")
    headers, rows = _beside_rows(answer)
    print_fitted("\nLanguages of both", headers, rows)
    print_warnings(answer.notes)


def print_fitted(
    title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1, intervals: Sequence[int] = ()
) -> None:
    """A table whose first column is never lost: what does not fit in the width follows as tables with that column.

    The first `text` columns are set left. The columns `intervals` stay together: if not all columns fit, they are in
    tables of their own.
    """
    width = console().width
    if not headers or not rows:
        return
    first, columns = _first_column(headers, rows, width)
    whole = _packed(columns, list(range(1, len(headers))), width)
    if len(whole) > 1 and intervals:
        plain = [i for i in range(1, len(headers)) if i not in intervals]
        whole = [*_packed(columns, plain, width), *_packed(columns, list(intervals), width)]
    for index, part in enumerate(whole):
        shown = [0, *part]
        cells = [[first[r], *(row[i] for i in part)] for r, row in enumerate(rows)]
        left = sum(i < text for i in shown)
        print_table(title if index == 0 else "", [_narrow(headers[i], columns[i]) for i in shown], cells, left=left)


def _first_column(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> tuple[list[str], list[int]]:
    """The first column, broken into lines where it leaves no room for another, and the widths of all columns."""
    columns = [
        max(*(len(word) for word in header.split(" ")), *(len(row[i]) for row in rows))
        for i, header in enumerate(headers)
    ]
    room = max(NARROWEST, width - GAP - max(columns[1:], default=0))
    first = [row[0] if len(row[0]) <= room else textwrap.fill(row[0], room) for row in rows]
    columns[0] = min(columns[0], room)
    return first, columns


def _packed(columns: Sequence[int], order: Sequence[int], width: int) -> list[list[int]]:
    """Columns that fit beside the first, in as few tables as their order allows."""
    parts: list[list[int]] = []
    for i in order:
        if parts and columns[0] + sum(GAP + columns[j] for j in (*parts[-1], i)) <= width:
            parts[-1].append(i)
        else:
            parts.append([i])
    return parts


def _narrow(header: str, width: int) -> str:
    """In lines no wider than the column, so that a table is never wider than its widest words."""
    return "\n".join(textwrap.wrap(header, width, break_long_words=False)) if len(header) > width else header


def _say(words: str, style: str | None = None) -> None:
    console().print(words, style=style, markup=False, soft_wrap=True)


def _typed(words: str) -> str:
    """A page's words with the signs of a keyboard, which every terminal shows."""
    return words.replace("\u2212", "-").replace("\u00a0", " ")


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _size(answer: Plan) -> str:
    from isogloss.units import format_quantity

    return f"{format_quantity(answer.N)} parameters on {format_quantity(answer.D)} tokens"


def _how_sure(answer: Plan, unsure: Uncertainty) -> str:
    from isogloss.report.plan_answer import flat_ends
    from isogloss.units import format_quantity

    N, D, regret = unsure.interval(unsure.N), unsure.interval(unsure.D), unsure.interval(unsure.regret)
    smallest, largest = flat_ends(answer, format_quantity)
    return (
        f"{unsure.level:.0%} of {unsure.count} draws have their best size between {format_quantity(N.low)} and "
        f"{format_quantity(N.high)} parameters, on {format_quantity(D.low)} to {format_quantity(D.high)} tokens.\n"
        f"Any size from {smallest} to {largest} has a {answer.criterion.of_draw} within "
        f"{unsure.flat().within:.1%} of the least; this plan loses {_percent(regret.median)} "
        f"({_percent(regret.low)} to {_percent(regret.high)}) against each draw's own best."
    )


def _language_rows(answer: Plan) -> tuple[list[str], list[list[str]]]:
    from isogloss.units import format_quantity

    unsure = answer.uncertainty
    headers, rows = ["language", "evidence", "share", "tokens", "text", "epochs", "loss"], []
    if unsure is not None:
        between = f"{unsure.level:.0%}"
        headers.insert(3, f"best share, {between}")
        headers.append(f"loss, {between}")
    left_out = {code for code, out in zip(answer.languages, answer.left_out, strict=True) if out}
    for row in answer.summary().to_dicts():
        trained = row["language"] not in left_out
        cells = [
            f"{row['name'].removeprefix('Standard ')} ({row['language']})",
            row["evidence"],
            _share(row["share"]),
            format_quantity(row["tokens"]) if trained and row["tokens"] >= 1 else "0",
            format_quantity(row["text"]),
            f"{row['epochs']:.2f}",
            f"{row['loss']:.4f}" if trained else "-",
        ]
        if unsure is not None:
            cells.insert(3, f"{_share(row['share_low'])} - {_share(row['share_high'])}")
            cells.append(f"{row['loss_low']:.3f} - {row['loss_high']:.3f}" if trained else "-")
        rows.append(cells)
    return headers, rows


def _phase_rows(answer: Plan) -> tuple[list[str], list[list[str]]]:
    from isogloss.units import format_quantity

    phases = answer.phases
    headers = ["language", *(p.name for p in phases)]
    rows = [
        ["tokens", *(format_quantity(p.tokens) for p in phases)],
        ["a token counts", *(f"{p.counts:g}" for p in phases)],
    ]
    for code in answer.summary()["language"]:
        i = answer.languages.index(code)
        rows.append([_named(code), *(_share(p.shares[i]) for p in phases)])
    return headers, rows if phases else []


def _corpus_rows(answer: Plan) -> tuple[list[str], list[list[str]]]:
    from isogloss.units import format_quantity

    headers = ["corpus", "evidence", "quality", "tokens", "text", "epochs", "cap", "effective tokens"]
    rows = [
        [
            f"{r.corpus}, {_named(r.language)}",
            r.evidence,
            f"{r.quality:g}",
            format_quantity(r.tokens) if r.tokens >= 1 else "0",
            format_quantity(r.text),
            f"{r.epochs:.2f}",
            f"{r.max_epochs:g}",
            format_quantity(r.effective) if r.effective >= 1 else "0",
        ]
        for r in answer.corpora
    ]
    return headers, rows


def _mixture_rows(answer: Plan) -> tuple[list[str], list[list[str]]]:
    unsure = answer.uncertainty
    headers = ["mixture at this N and D", "repeats beyond the epoch cap", answer.criterion.short, "against the plan"]
    rows = [["this plan", "-", number(answer.objective), ""]]
    rows += [
        [a.name, _names(a.over_cap) or "-", number(a.objective), f"{_percent(a.objective / answer.objective - 1, '+')}"]
        for a in sorted(answer.alternatives, key=lambda a: a.objective)
    ]
    if unsure is None:
        return headers, rows
    headers += [f"regret, {unsure.level:.0%}", "plan better"]
    for row in rows:
        own = row[0] == "this plan"
        regret = unsure.interval(unsure.regret if own else unsure.regret_of(row[0]))
        row.append(f"{_percent(regret.low, '+')} to {_percent(regret.high, '+')}")
        row.append("" if own else f"{unsure.plan_better(row[0]):.0%}")
    return headers, rows


def _given_rows(answer: GivenPlan) -> tuple[list[str], list[list[str]]]:
    mixture, best = answer.change("mixture"), answer.best
    headers = ["language", "your share", "epochs", "loss", "best at this N", "loss there", "best of all", "its loss"]
    if answer.drawn_loss is not None:
        headers.append(f"your loss, {answer.level:.0%}")
    rows = []
    for i, (code, loss) in enumerate(zip(answer.languages, answer.losses(), strict=True)):
        cells = [_named(code), _share(answer.shares[i]), f"{answer.epochs[i]:.2f}"]
        cells.append(f"{loss.value:.4f}")
        cells += ["-", "-"] if mixture is None else [_share(mixture.shares[i]), f"{mixture.loss[i]:.4f}"]
        cells += [_share(best.shares[i]), f"{best.loss[i]:.4f}"]
        if loss.low is not None and loss.high is not None:
            cells.append(f"{loss.low:.3f} - {loss.high:.3f}")
        rows.append(cells)
    return headers, sorted(rows, key=lambda row: -float(row[1].rstrip("%")))


def _beside_rows(answer: Beside) -> tuple[list[str], list[list[str]]]:
    first, second = answer.names
    headers = ["language"]
    headers += [f"share, {first}", f"share, {second}", f"epochs, {first}", f"epochs, {second}"]
    headers += [f"loss, {first}", f"loss, {second}", "change", "better"]
    rows = []
    for row in answer.languages:
        rows.append(
            [
                _named(row.code),
                *(_share(p) for p in row.shares),
                *(f"{e:.2f}" for e in row.epochs),
                *(_loss(e) for e in row.losses),
                _change(row.change),
                row.better or "not told apart",
            ]
        )
    return headers, rows


def _share(part: float) -> str:
    """What a search leaves of nothing is nothing."""
    return percent(0.0 if part < NOTHING else float(part))


def _named(code: str) -> str:
    from isogloss.languages import get

    return f"{get(code).short_name.removeprefix('Standard ')} ({code})"


def _loss(value: Estimate) -> str:
    between = "" if value.low is None or value.high is None else f" ({value.low:.3f} - {value.high:.3f})"
    return f"{value.value:.4f}{between}"


def _change(value: Estimate) -> str:
    between = (
        ""
        if value.low is None or value.high is None
        else f" ({_percent(value.low, '+')} to {_percent(value.high, '+')})"
    )
    return f"{_percent(value.value, '+')}{between}"


def _percent(part: float, sign: str = "") -> str:
    """Per cent to two places; what rounds to nothing has no sign."""
    return "0.00%" if abs(part) < 5e-5 else f"{part:{sign}.2%}"


def _quantiles(values: object, level: float) -> tuple[float, float]:
    import numpy as np

    low, high = np.quantile(np.asarray(values), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _draws_between(answer: GivenPlan) -> str:
    low, high = answer.mean_loss.low, answer.mean_loss.high
    if low is None or high is None:
        return ""
    return f", {number(low)} to {number(high)} in {answer.level:.0%} of the draws"


def _names(codes: tuple[str, ...], most: int = 4) -> str:
    return ", ".join(codes[:most]) + (f" and {len(codes) - most} more" if len(codes) > most else "")
