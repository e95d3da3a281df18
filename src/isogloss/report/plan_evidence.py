"""What a plan rests on, as a card."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, get_args

import polars as pl

from isogloss.planning.evidence import Evidence, Kind
from isogloss.report.card import Card
from isogloss.report.words import language_names, listed

if TYPE_CHECKING:
    from isogloss.planning import Plan

# With more languages than this, sources that differ in their numbers only are one row.
FEW = 12

_WORDS = {
    "C": "Training compute",
    "weights": "Weights of the languages",
    "text": "Text available",
    "quality": "What a token counts for",
    "phases": "What a token of each phase counts",
    "law": "Loss law",
    "transfer": "Transfer into the language",
    "repetition": "What repeated text is worth (lambda)",
    "capacity": "Cost of many languages (phi)",
    "N": "Size N",
    "D": "Tokens D",
    "shares": "Shares",
    "epochs": "Epochs",
    "mean_loss": "Mean loss",
    "objective": "What is made small",
    "profile": "Loss at other sizes",
    "loss": "Expected loss",
    "alternatives": "Naive mixtures",
}
# Computed by the plan from its inputs, and so no evidence of their own.
_DERIVED = {"N", "D", "shares", "epochs", "mean_loss", "objective", "profile", "loss", "alternatives"}
_CODE = re.compile(r"\b[a-z]{3}_[A-Z][a-z]{3}\b")
_NUMBER = re.compile(r"\d[\d,.]*")


def evidence_card(plan: Plan) -> Card:
    inputs = [e for e in plan.evidence if _part(e) not in _DERIVED]
    counts = Counter(e.kind for e in inputs if e.quantity != "C")
    kinds = [f"{counts[k]} {k}" for k in get_args(Kind) if counts[k]]
    groups = _grouped(plan.evidence, many=len(plan.languages) > FEW)
    names = language_names(plan.languages)
    table = pl.DataFrame(
        {
            "What": [_what(group, names) for group in groups],
            "Kind": [group[0].kind for group in groups],
            "Source": [_source(group, names) for group in groups],
        }
    )
    return Card(
        id="evidence",
        title="What this rests on",
        sentence=f"Besides the budget the plan has {sum(counts.values())} inputs, {listed(kinds)}; "
        f"size, tokens and shares are therefore {plan.kind_of('N')}.",
        table=table,
        notes=("What is computed counts as no better than the weakest number that it is computed from.",),
    )


def _part(item: Evidence) -> str:
    return item.quantity.partition(".")[0]


def _grouped(evidence: tuple[Evidence, ...], *, many: bool) -> list[list[Evidence]]:
    """Evidence of one part, kind and source together; with many languages, sources alike but for their numbers.
    What is computed needs one row for each kind and source, whatever it is."""
    groups: dict[tuple[str, str, str], list[Evidence]] = {}
    for item in evidence:
        part = _part(item)
        derived = part in _DERIVED - {"loss", "alternatives"}
        source = _NUMBER.sub("#", _CODE.sub("@", item.source)) if many or part == "transfer" else item.source
        groups.setdefault(("derived" if derived else part, item.kind, source), []).append(item)
    return list(groups.values())


def _what(group: list[Evidence], names: dict[str, str]) -> str:
    parts = list(dict.fromkeys(_part(item) for item in group))
    head = listed([_WORDS.get(part, part.replace("_", " ")) for part in parts], most=9)
    keys = [item.quantity.partition(".")[2] for item in group]
    of = [names.get(key, key) for key in keys if key]
    if not of:
        return head
    return f"{head}: {listed(of)}" if len(of) <= 6 else f"{head}: {len(of)} languages ({listed(of, most=4)})"


def _source(group: list[Evidence], names: dict[str, str]) -> str:
    sources = list(dict.fromkeys(item.source for item in group))
    first = _CODE.sub(lambda code: names.get(code[0], code[0]), sources[0])
    if len(sources) == 1:
        return first
    example = group[0].quantity.partition(".")[2]
    return f"for example {names.get(example, example)}: {first}"
