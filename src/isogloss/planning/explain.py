"""What a plan says of itself: what binds, what each number rests on, and what to read before use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isogloss.planning.aim import Spending
from isogloss.planning.allocate import NOTHING, Allocation
from isogloss.planning.constraints import Box, memory_of
from isogloss.planning.corpora import corpus_rows
from isogloss.planning.evidence import Ground
from isogloss.planning.kinds import Evidence, counted, some, weakest
from isogloss.planning.question import Question
from isogloss.planning.uncertainty import Uncertainty
from isogloss.units import format_quantity


def binding(top: Allocation, box: Box, basis: Ground, asked: Question) -> list[str]:
    """The limits that hold the plan where it is, one sentence each."""
    names = basis.languages
    tokens = top.shares * top.D
    close = 1e-4
    out = []
    # A language of several corpora has a cap for each.
    single = ~np.isin(np.arange(len(names)), list(basis.text.corpora))
    capped = np.flatnonzero((tokens >= box.tokens_high * (1 - close)) & single)
    by_cap: dict[float, list[str]] = {}
    for i in capped:
        by_cap.setdefault(float(f"{box.tokens_high[i] / basis.U[i]:.6g}"), []).append(names[i])
    for epochs, codes in sorted(by_cap.items()):
        out.append(f"epoch cap {epochs:g}: {some(codes)}")
    for row in corpus_rows(asked, basis, tokens):
        if basis.languages.index(row.language) in basis.text.corpora and row.epochs >= row.max_epochs * (1 - close):
            out.append(f"epoch cap {row.max_epochs:g}: {row.corpus} of {row.language}")
    for i, code in enumerate(names):
        low, high = box.share_low[i], box.share_high[i]
        if low > 0 and low == high:
            out.append(f"fixed share {low:g}: {code}")
        elif low > 0 and top.shares[i] <= low * (1 + close):
            out.append(f"minimum share {low:g}: {code}")
        elif high < 1 and top.shares[i] >= high * (1 - close):
            out.append(f"maximum share {high:g}: {code}")
    if box.N_high * (1 - close) <= top.N:
        memory = memory_of(asked)
        held = memory is not None and memory.params <= box.N_high * (1 + close)
        what = f"memory of {asked.budget.gpus:g} accelerators" if held else "maximum size"
        out.append(f"{what}: {format_quantity(box.N_high)} parameters")
    if box.N_low * (1 + close) >= top.N:
        out.append(
            f"smallest size for which the text lasts or that is allowed: {format_quantity(box.N_low)} parameters"
        )
    return out


def given(asked: Question, spend: Spending) -> list[Evidence]:
    budget = asked.budget
    rule = "C = 6 N D" + (
        f" + 2 N for each of {format_quantity(spend.served, 'tokens')} served" if spend.served else ""
    )
    if spend.found:
        goals = ", ".join(f"{name} {loss:.4g}" for name, loss in spend.goals.items())
        said = f"the least budget found that reaches {budget.said()} ({goals}); {rule}"
        return [Evidence("C", "predicted", said)]
    sure = budget.flops is not None or "utilisation" in budget.model_fields_set
    return [Evidence("C", "given" if sure else "assumed", f"{budget.said()}; {rule}")]


def derived(basis: Ground, alternatives: Sequence[str], aim: str) -> list[Evidence]:
    """Evidence of what was computed: predicted, and no better than the weakest number that it rests on.

    `aim` is the name of what the plan makes small.
    """
    inputs = {e.quantity: e.kind for e in basis.evidence}
    overall = weakest(["predicted", *inputs.values()])
    resting = f"minimises the {aim}; rests on {counted(list(inputs.values()))} inputs"
    out = [Evidence(q, overall, resting) for q in ("N", "D", "shares", "epochs", "mean_loss", "objective", "profile")]
    for code in basis.languages:
        kinds = [inputs[f"{part}.{code}"] for part in ("law", "text", "transfer")]
        rests = ["predicted", *kinds, inputs["repetition"], inputs["capacity"]]
        parts = ", ".join(f"{part} {k}" for part, k in zip(("law", "text", "transfer"), kinds, strict=True))
        out.append(Evidence(f"loss.{code}", weakest(rests), f"computed at N, D and the shares from: {parts}"))
    out += [Evidence(f"alternatives.{name}", overall, "the same laws at the plan's N and D") for name in alternatives]
    return out


def warnings(
    top: Allocation,
    basis: Ground,
    asked: Question,
    epochs: np.ndarray,
    unsure: Uncertainty | None,
    draws: int,
    spend: Spending,
) -> list[str]:
    out = [_how_sure(basis, unsure, draws), *_aims(asked, spend, unsure)]
    low, high = basis.N_range
    if not low <= top.N <= high:
        out.append(
            f"N = {format_quantity(top.N)} lies outside the sizes behind the laws, "
            f"{format_quantity(low)} to {format_quantity(high)}: the answer is an extrapolation."
        )
    out += basis.warnings
    if len(basis.languages) > 2 and asked.assumptions.capacity == "none" and not basis.by_shares:
        out.append(
            'no capacity tax for many languages is counted (assumptions.capacity = "k-law" counts ATLAS\'s K^0.11; '
            "the measured transfer scores hold some of it already)."
        )
    if len(basis.languages) > 1:
        out.append(
            "losses of different languages are not on one scale: compare each language across plans, "
            "not languages with each other."
        )
    repeated = int((epochs > 1.001).sum())
    published = asked.assumptions.repetition_decay is None and basis.joint is None
    if repeated and published and not basis.by_shares:
        out.append(
            f"{repeated} of {len(epochs)} languages {'is' if repeated == 1 else 'are'} repeated; what repeats are "
            "worth (lambda) is a published value whose own uncertainty is wide (R_D* from about 8 to above 1,000 fits "
            "the same runs)."
        )
    if top.starts == 1:
        out.append("the search had one start only: a better plan may exist.")
    elif top.agree < 2:
        out.append(f"only {top.agree} of {top.starts} starts of the search found this plan: a better one may exist.")
    starved = [c for c, p, w in zip(basis.languages, top.shares, basis.weights, strict=True) if p < NOTHING and w > 0]
    fixed = sum(need.share or 0.0 for need in asked.languages.values())
    if starved and asked.budget.target is None and fixed < 1 - NOTHING:
        many = "" if len(starved) <= 12 else " (shares below 0.001 % in the table)"
        who = some(starved, most=12) + many
        out.append(f"{who} would get next to nothing: give them min_share if they must be served.")
    return out


def _aims(asked: Question, spend: Spending, unsure: Uncertainty | None) -> list[str]:
    out = []
    if asked.objective.risk != "point" and unsure is None:
        out.append(f'risk = "{asked.objective.risk}" changes nothing: nothing that the plan rests on has an interval.')
    if asked.budget.target is not None:
        out.append("languages without a target get what serves the others.")
    if spend.found:
        out.append("the budget is what the point laws say that it takes; intervals are of losses at that budget.")
    if spend.served:
        out.append("serving is charged at 2 N FLOPs a token and at the utilisation of training, which flatters it.")
    return out


def _how_sure(basis: Ground, unsure: Uncertainty | None, draws: int) -> str:
    lacks = [*basis.laws.lacks, *basis.transfer.lacks]
    if not draws:
        return "this plan has no intervals: it was asked for none (draws = 0)."
    if unsure is None:
        why = "; ".join(lacks) or "nothing that it rests on is uncertain, as far as it is told"
        return f"this plan has no intervals: {why}."
    out = f"the intervals hold {'; '.join(unsure.varies)}."
    if unsure.lacks:
        out += f" Not in them: {'; '.join(unsure.lacks)}."
    if unsure.settled < unsure.count:
        out += f" The search of {unsure.count - unsure.settled} of {unsure.count} draws did not settle."
    return out
