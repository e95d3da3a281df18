"""Two plans side by side: what differs in their questions, and which is better for each language of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from isogloss.display import Shown
from isogloss.errors import InputError
from isogloss.planning.answer import NO_SHARE, Plan
from isogloss.planning.given_savings import Estimate, estimate
from isogloss.planning.given_words import NOTHING
from isogloss.planning.kinds import some
from isogloss.planning.plan import DRAWS, LEVEL, plan
from isogloss.planning.question import Question, read_question
from isogloss.units import format_quantity

SCHEMA = 1
STAGES = ("planning the first", "planning the second")
ABSENT = "-"


@dataclass(frozen=True)
class Difference:
    """One key of the questions, such as "budget.flops", and what each of them says."""

    key: str
    first: str
    second: str


@dataclass(frozen=True)
class LanguageBeside:
    """A language of both plans: share, epochs and loss of the first and of the second."""

    code: str
    shares: tuple[float, float]
    epochs: tuple[float, float]
    losses: tuple[Estimate, Estimate]
    change: Estimate
    """Of the loss from the first plan to the second, relative."""
    better: str | None
    """The name of the plan with the lower loss; None where the interval of the change holds zero or units differ."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "shares": list(self.shares),
            "epochs": list(self.epochs),
            "loss": [e.to_dict() for e in self.losses],
            "change": self.change.to_dict(),
            "better": self.better,
        }


@dataclass(frozen=True, eq=False)
class Beside(Shown):
    names: tuple[str, str]
    plans: tuple[Plan, Plan]
    questions: tuple[Question, Question]
    differences: tuple[Difference, ...]
    languages: tuple[LanguageBeside, ...]
    """Of both, the largest share in the first plan first."""
    mean: Estimate | None
    """Change of the weighted mean loss from the first to the second; None unless languages and weights are the same."""
    paired: bool
    """Both plans saw the same draws, so that what they share cancels in the changes."""
    sentence: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "names": list(self.names),
            "sentence": self.sentence,
            "differences": [{"key": d.key, "first": d.first, "second": d.second} for d in self.differences],
            "languages": {row.code: row.to_dict() for row in self.languages},
            "mean_loss": None if self.mean is None else self.mean.to_dict(),
            "paired": self.paired,
            "plans": [p.to_dict() for p in self.plans],
            "notes": list(self.notes),
        }


Source = Question | str | Path | Mapping[str, Any]


def beside(
    first: Source,
    second: Source,
    *,
    names: tuple[str, str] | None = None,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
    allow_assumed: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Beside:
    """Plan both questions and compare the plans. Raises InputError for one name of both, else what `plan` raises.

    With the same languages, laws and transfer, both plans are judged by the same draws. Else their draws count as
    independent: intervals of the changes are then wider than they need be.
    """
    say = progress or (lambda _: None)
    names = names or names_of(first, second)
    if names[0] == names[1]:
        raise InputError(f"both plans are called {names[0]!r}", hint="Name them apart.")
    asked = (read_question(first), _in_order(read_question(first), read_question(second)))
    options: dict[str, Any] = {"draws": draws, "level": level, "seed": seed, "allow_assumed": allow_assumed}
    say(STAGES[0])
    a = plan(asked[0] if isinstance(first, Mapping) else first, **options)
    say(STAGES[1])
    b = plan(asked[1], **options)
    paired = _same_draws(*asked)
    units = _other_units(asked, a, b)
    rows = [replace(r, better=None) if r.code in units else r for r in _languages(names, a, b, paired, level, seed)]
    mean = None
    if not units and set(a.languages) == set(b.languages) and np.allclose(a.weights, b.weights, rtol=1e-9):
        drawn = [None if p.uncertainty is None else p.uncertainty.loss @ p.weights for p in (a, b)]
        own = [float(p.weights @ p.loss) for p in (a, b)]
        mean = _change(own[0], own[1], drawn[0], drawn[1], paired, level, seed)
    return Beside(
        names,
        (a, b),
        asked,
        tuple(_differences(*asked)),
        tuple(rows),
        mean,
        paired,
        _sentence(names, a, b, rows, mean),
        tuple(_notes(names, a, b, asked, paired, units)),
    )


def names_of(first: Source, second: Source) -> tuple[str, str]:
    """Of two files: their names without suffix, or their paths where those are the same."""
    if not isinstance(first, str | Path) or not isinstance(second, str | Path):
        return "first", "second"
    stems = Path(first).stem, Path(second).stem
    return stems if stems[0] != stems[1] else (str(first), str(second))


def _in_order(first: Question, second: Question) -> Question:
    """The second question with its languages in the order of the first, so that the same seed draws the same laws."""
    if set(first.languages) != set(second.languages):
        return second
    return second.model_copy(update={"languages": {code: second.languages[code] for code in first.languages}})


def _same_draws(a: Question, b: Question) -> bool:
    def drawn_from(q: Question) -> Any:
        fits = [(code, need.fit) for code, need in q.languages.items()]
        return fits, q.runs, q.assumptions.laws, q.assumptions.transfer

    return drawn_from(a) == drawn_from(b)


def _other_units(asked: tuple[Question, Question], a: Plan, b: Plan) -> set[str]:
    """Languages of both whose losses may be in one unit here and in another there."""
    first, second = (q.languages for q in asked)
    both = [code for code in first if code in second]
    if a.loss_unit != b.loss_unit:
        return set(both)
    return {code for code in both if (first[code].fit is None) != (second[code].fit is None)}


def _languages(names: tuple[str, str], a: Plan, b: Plan, paired: bool, level: float, seed: int) -> list[LanguageBeside]:
    out = []
    common = [code for code in a.languages if code in b.languages]
    for code in sorted(common, key=lambda c: -a.shares[a.languages.index(c)]):
        i, j = a.languages.index(code), b.languages.index(code)
        drawn = [None if p.uncertainty is None else p.uncertainty.loss[:, at] for p, at in ((a, i), (b, j))]
        change = _change(float(a.loss[i]), float(b.loss[j]), drawn[0], drawn[1], paired, level, seed)
        out.append(
            LanguageBeside(
                code,
                (float(a.shares[i]), float(b.shares[j])),
                (float(a.epochs[i]), float(b.epochs[j])),
                (estimate(float(a.loss[i]), drawn[0], level), estimate(float(b.loss[j]), drawn[1], level)),
                change,
                _better(names, change),
            )
        )
    return out


def _change(
    a: float, b: float, drawn_a: np.ndarray | None, drawn_b: np.ndarray | None, paired: bool, level: float, seed: int
) -> Estimate:
    if drawn_a is None or drawn_b is None:
        return Estimate(b / a - 1)
    if not paired:
        # Draws with the same number are neither the same nor independent: shuffled, they are independent.
        drawn_b = np.random.default_rng([seed, 11]).permutation(drawn_b)
    return estimate(b / a - 1, drawn_b / drawn_a - 1, level)


def _better(names: tuple[str, str], change: Estimate) -> str | None:
    ends = [change.value, *(v for v in (change.low, change.high) if v is not None)]
    if max(ends) < 0 and abs(change.value) >= NOTHING:
        return names[1]
    if min(ends) > 0 and abs(change.value) >= NOTHING:
        return names[0]
    return None


def _differences(a: Question, b: Question) -> Iterator[Difference]:
    for code in dict.fromkeys([*a.languages, *b.languages]):
        if (code in a.languages) != (code in b.languages):
            words = ("in it", ABSENT) if code in a.languages else (ABSENT, "in it")
            yield Difference(f"languages.{code}", *words)
    common = {code for code in a.languages if code in b.languages}
    flat = [dict(_flat(q.model_dump(mode="json"))) for q in (a, b)]
    for key in dict.fromkeys([*flat[0], *flat[1]]):
        of_one = key.startswith("languages.") and key.split(".")[1] not in common
        first, second = (f.get(key) for f in flat)
        if first != second and not of_one:
            yield Difference(key, _shown(first), _shown(second))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) and "name" in v for v in value):
            for part in value:
                yield from _flat({k: v for k, v in part.items() if k != "name"}, f"{prefix}{name}.{part['name']}.")
        else:
            yield f"{prefix}{name}", value


def _shown(value: Any) -> str:
    if value is None or value == "":
        return ABSENT
    return f"{value:g}" if isinstance(value, float) else str(value)


def _sentence(names: tuple[str, str], a: Plan, b: Plan, rows: list[LanguageBeside], mean: Estimate | None) -> str:
    sizes = [f"{n}: {format_quantity(p.N)} on {format_quantity(p.D)}" for n, p in zip(names, (a, b), strict=True)]
    text = f"{sizes[0]}; {sizes[1]} tokens"
    trained = [row for row in rows if max(row.shares) > NO_SHARE]
    if not trained:
        return f"{text}; they train on no language in common."
    counts = [sum(row.better == name for row in trained) for name in names]
    neither = len(trained) - sum(counts)
    many = "language" if len(trained) == 1 else "languages"
    text += f". Of {len(trained)} {many} of both, {names[0]} is better for {counts[0]}, {names[1]} for {counts[1]}"
    text += f", and {neither} {'is' if neither == 1 else 'are'} not told apart" if neither else ""
    if mean is None:
        return f"{text}."
    between = "" if mean.low is None or mean.high is None else f" ({mean.low:+.2%} to {mean.high:+.2%})"
    return f"{text}; the mean loss changes by {mean.value:+.2%}{between} from {names[0]} to {names[1]}."


def _notes(
    names: tuple[str, str], a: Plan, b: Plan, asked: tuple[Question, Question], paired: bool, units: set[str]
) -> Iterator[str]:
    if units:
        yield (
            f"the losses of {some(sorted(units))} come of laws in different units (own runs or fits in one plan, "
            "published laws in the other): they do not compare, and no plan is called better for them."
        )
    if abs(a.C / b.C - 1) > 0.01:
        yield f"the second plan takes {b.C / a.C:.3g} times the compute of the first: more compute alone lowers losses."
    if a.uncertainty is None or b.uncertainty is None:
        yield "without draws, which plan is better for a language is by the point estimates alone."
    elif not paired:
        yield (
            "the plans differ in languages, laws or transfer: their draws count as independent, and intervals of the "
            "changes are wider than they need be."
        )
    if asked[0].assumptions.laws != asked[1].assumptions.laws:
        yield "the plans rest on laws of different regimes: their losses may differ by that alone."
    if set(a.languages) == set(b.languages) and not np.allclose(a.weights, b.weights, rtol=1e-9):
        yield "the weights differ: mean losses do not compare."
    for name, plan_ in zip(names, (a, b), strict=True):
        if plan_.start is not None:
            yield f"{name}: {plan_.start.sentence} {plan_.start.size_sentence}".rstrip()
        if plan_.choices is not None:
            yield f"{name}: {plan_.choices.sentence}"
    yield "losses of different languages are not on one scale."
