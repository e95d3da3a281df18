"""What part of a plan's uncertainty is due to laws, and what part to transfer, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isogloss.languages import get

if TYPE_CHECKING:
    from isogloss.planning import Plan
    from isogloss.planning.parts import Part

# Parts of a variance are told in steps of so many per cent: fifty draws know no more.
STEP = 5
NOTE = (
    "Laws alone: the draws with transfer weights at their point values; transfer alone: with the laws at theirs. They "
    "need not sum to 100 %: the rest, above or below, comes of both together."
)


def parts_words(plan: Plan) -> str:
    """A sentence, such as "What makes the variance of the draws, laws alone and transfer alone: N 80 % and 15 %."; ""
    where only one of the two varies."""
    parts = plan.parts
    if parts is None:
        return ""
    share = f"share of {get(parts.language).short_name.removeprefix('Standard ')}"
    told = [
        (plan.criterion.of_draw, parts.objective),
        ("N", parts.N),
        (share, parts.share),
    ]
    said = [f"{name} {_said(part)}" for name, part in told if part is not None]
    if not said:
        return ""
    left_out = f" (N and the shares: {parts.why_not})" if parts.why_not else ""
    return f"What makes the variance of the draws, laws alone and transfer alone: {'; '.join(said)}{left_out}."


def _said(part: Part) -> str:
    return f"{_about(part.laws)} and {_about(part.transfer)}"


def _about(part: float) -> str:
    rounded = STEP * round(100 * part / STEP)
    if rounded >= 100:
        return "all"
    return f"{rounded}\u00a0%" if rounded else f"under {STEP}\u00a0%"
