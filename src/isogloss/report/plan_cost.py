"""What a plan costs, in words: compute, accelerators, days, money, serving, and the exact count beside 6 N D."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isogloss.report.words import flops, percent, quantity

if TYPE_CHECKING:
    from isogloss.planning import Plan
    from isogloss.planning.cost import Cost
    from isogloss.planning.flops import Count

# Fewer days than these are told in hours.
SHORT = 2.0


def costs(plan: Plan) -> list[str]:
    """Sentences: what is spent, where it is more than the FLOPs that the plan names itself, and what the exact count
    makes of it. Empty for a plan without its cost."""
    cost = plan.cost
    if cost is None:
        return []
    exact = "no shape near this size is known to count by" if cost.count is None else _counted(cost.count, plan)
    counted = f"Counted exactly, {exact}."
    if not (cost.served_tokens or cost.found or cost.gpu):
        return [counted]
    return [f"{'; '.join([_compute(cost, plan), *_hours(cost)])}.", counted]


def _compute(cost: Cost, plan: Plan) -> str:
    text = f"{flops(cost.C)} FLOPs"
    if cost.served_tokens:
        serving = cost.C - plan.C
        text += (
            f", of which {percent(serving / cost.C)} % to serve {quantity(cost.served_tokens)} tokens (2 N each) and "
            f"{flops(plan.C)} to train (6 N D)"
        )
    else:
        text += " to train (6 N D)"
    if cost.found:
        return f"{text}, the least found that reaches the target"
    return text


def _hours(cost: Cost) -> list[str]:
    """Hours, days and money, where the question names an accelerator."""
    if cost.gpu_hours is None:
        return []
    text = f"{cost.gpu_hours:,.0f} hours of {cost.gpu} at {100 * cost.utilisation:.3g} % of its peak"
    if cost.days is not None:
        often = f"{cost.days:,.1f} days" if cost.days >= SHORT else f"{24 * cost.days:,.2g} hours"
        text += f", {often} on {cost.gpus:g}"
    money = [] if cost.money is None else [f"{cost.money:,.0f} {cost.currency}".strip()]
    return [text, *money]


def _counted(found: Count, plan: Plan) -> str:
    shape = found.shape
    change = found.tokens_counted / plan.D - 1
    side = "as many as 6 N D says" if abs(change) < 5e-4 else f"{percent(change, signed=True)} % against 6 N D"
    return (
        f"attention and head included, these FLOPs train {quantity(found.tokens_counted)} tokens ({side}) on a shape "
        f"near this size: {quantity(shape.params_total)} parameters, {shape.layers} layers of width {shape.d_model:,}, "
        f"context {found.context_length:,}"
    )
