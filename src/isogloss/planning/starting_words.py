"""What is said of where a plan should start: the verdict, the checkpoint's size, and what to read before use."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from isogloss.planning.checkpoints import Checkpoint
from isogloss.planning.crossover_published import called
from isogloss.planning.crossover_words import MANY_EPOCHS
from isogloss.planning.flat import FLAT
from isogloss.units import format_quantity

if TYPE_CHECKING:
    from isogloss.planning.starting_answer import LanguageStart, OwnSize, Verdict

# Sizes within this factor are one to anyone.
ALIKE = 1.25
NAMED = 4
_NUMBER = re.compile(r"\d[\d,.]*")


def verdict_words(
    checkpoint: Checkpoint, N: float, rows: Sequence[LanguageStart], ahead: float, verdict: Verdict, why_not: str
) -> str:
    """The verdict for the whole plan and how sure it is; by language where languages differ."""
    name = checkpoint.name
    if why_not:
        return f"Train from scratch: {why_not}."
    if len(rows) == 1:
        on, by = f"what this plan spends on {called(rows[0].code)}", ""
    else:
        on, by = f"what this plan spends on each of {len(rows)} languages", ", languages counted by weight"
    far = "" if _alike(checkpoint.params, N) else ", as far as crossings at both sizes tell"
    odds = f"{_odds(ahead)} of the draws{by}"
    said = {
        "continue": f"Continue from {name}{far}: with {on} it is ahead of scratch in {odds}",
        "scratch": f"Train from scratch: with {on} continuing from {name} is ahead in {odds}",
        "undecided": f"Whether to continue from {name} is undecided: with {on} it is ahead of scratch in {odds}",
    }[verdict]
    if len({row.verdict for row in rows}) == 1:
        return f"{said}."
    parts = []
    for kind in ("continue", "scratch", "undecided"):
        codes = [row.code for row in rows if row.verdict == kind]
        if codes:
            parts.append(f"{kind} for {_named(codes)}")
    return f"{said}. By language: {'; '.join(parts)}."


def size_words(checkpoint: Checkpoint, N: float, own: OwnSize | None) -> str:
    """What continuing implies: the checkpoint's size, its tokens, and what scratch would reach there."""
    if own is None:
        return ""
    other = ", as large as this plan's" if _alike(own.N, N) else f" instead of {_about(N)}"
    model = f"a model of {format_quantity(own.N)} parameters{other}"
    tokens = f"{_about(own.D)} tokens"
    spent = f"the text lasts for {tokens} of it, {own.C:.3g} FLOPs" if own.text_ends else f"the budget buys it {tokens}"
    side = (
        "as good as"
        if abs(own.excess) < 5e-5
        else f"{_per_cent(abs(own.excess))} {'above' if own.excess > 0 else 'below'}"
    )
    if own.excess > FLAT:
        gains = "continuing must gain more than that to beat this plan, and no published law says how much it gains"
    else:
        gains = "continuing reaches less than that where it is ahead, how much less no published law says"
    return (
        f"Continuing from {checkpoint.name} gives {model}: {spent}. From scratch that size would reach "
        f"{own.objective:.4g}, {side} this plan: {gains}."
    )


def beside_others(rows: Sequence[LanguageStart], languages: int, trained: int) -> Iterator[str]:
    """That a multilingual plan is past the evidence, and whose verdict the other languages would change.

    `trained` counts the languages that the question's own runs train on.
    """
    if trained > 1:
        yield (
            f"the runs train on {trained} languages: their crossings are in all tokens of a run, and are compared here "
            "with what the plan spends on each language's own."
        )
    if languages < 2 or all(row.measured for row in rows):
        return
    said = (
        "published crossings are of models of one language. Each language here is judged by the compute in its own "
        "tokens alone (6 N d, repeats counted); what training on the others changes is outside the evidence"
    )
    moved = [row.code for row in rows if _side(row.ahead) != _side(row.ahead_effective)]
    if moved:
        said += (
            f". With the others' tokens counted as the plan's transfer counts them, another way would be ahead for "
            f"{_named(moved)}"
        )
    yield f"{said}."


def repeated(rows: Sequence[LanguageStart], epochs: Mapping[str, float]) -> Iterator[str]:
    often = [row.code for row in rows if epochs[row.code] > MANY_EPOCHS * 1.001]
    if often:
        yield (
            f"the plan repeats the text of {_named(often)} more than {MANY_EPOCHS:.0f} times: no crossing was measured "
            "so, and their repeats count as fresh text here."
        )


def left(codes: Sequence[str]) -> Iterator[str]:
    if codes:
        yield (
            f"{len(codes)} languages with less of weight times share are not judged: {_named(codes)}; the verdict is "
            "of the others."
        )


def said_once(found: Sequence[tuple[str, str]]) -> list[str]:
    """Warnings of several languages that differ by the language's name and by numbers only are one."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for code, words in found:
        groups.setdefault(_NUMBER.sub("#", words.replace(called(code), "@")), []).append((code, words))
    out = []
    for group in groups.values():
        first = group[0][1]
        rest = [code for code, words in group[1:] if words != first]
        out.append(f"{first} Likewise for {_named(rest)}." if rest else first)
    return out


def _alike(one: float, other: float) -> bool:
    return abs(math.log(one / other)) <= math.log(ALIKE)


def _side(ahead: float) -> bool:
    return ahead >= 0.5


def _named(codes: Sequence[str]) -> str:
    names = [called(code) for code in codes]
    if len(names) > NAMED + 1:
        names = [*names[:NAMED], f"{len(names) - NAMED} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _odds(part: float) -> str:
    return "over 99 %" if part > 0.99 else "under 1 %" if part < 0.01 else f"{100 * part:.0f} %"


def _per_cent(part: float) -> str:
    return f"{100 * part:.0f} %" if part >= 0.1 else f"{100 * part:.2g} %"


def _about(number: float) -> str:
    return format_quantity(number, digits=2 if number < 1e11 else 3)
