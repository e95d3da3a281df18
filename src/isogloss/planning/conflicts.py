"""Limits that no plan meets: the fewest of them that contradict each other, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isogloss.errors import InputError
from isogloss.planning.kinds import some
from isogloss.planning.limits import (
    Box,
    Constraint,
    EpochCap,
    FixedShare,
    MaxParams,
    MaxShare,
    Memory,
    MinParams,
    MinShare,
    OfLanguage,
    box_of,
    most_tokens_of,
)
from isogloss.units import format_quantity

# Tokens below which a run is not a model: with less, the budget is a typing mistake.
FEWEST_TOKENS = 1e6
# Shares that sum to one but for rounding.
ROUNDING = 1e-9


def contradiction(box: Box, C: float | None = None, served: float = 0.0) -> bool:
    """Whether no plan is in the box: by its shares and sizes alone, or none that spends C FLOPs, serving included."""
    low, high = box.share_low, box.share_high
    if low.sum() > 1 + ROUNDING or high.sum() < 1 - ROUNDING or (low > high + ROUNDING).any():
        return True
    if C is None:
        return False
    if box.N_low > box.N_high or C - 2 * box.N_low * served < 6 * box.N_low * FEWEST_TOKENS:
        return True
    return C / (6 * most_tokens_of(box) + 2 * served) * (1 + 1e-6) > box.N_high


def fewest(limits: Sequence[Constraint], conflict: Callable[[Sequence[Constraint]], bool]) -> list[Constraint]:
    """A minimal part of `limits` that is still in conflict: without any one of it, it is not.

    The deletion filter of Chinneck and Dravnieks 1991 (ORSA Journal on Computing 3), in blocks that halve: what can go
    goes, the first of `limits` before the last.
    """
    kept, block = list(limits), max(1, len(limits) // 2)
    while True:
        start = 0
        while start < len(kept):
            tried = kept[:start] + kept[start + block :]
            if conflict(tried):
                kept = tried
            else:
                start += block
        if block == 1:
            return kept
        block //= 2


def conflicting(box: Box, C: float | None = None, served: float = 0.0) -> list[Constraint]:
    """A minimal part of the limits that made `box`: no plan meets it, and without any one of them some plan does."""
    size = len(box.share_low)
    return fewest(_by_blame(box.limits), lambda tried: contradiction(box_of(list(tried), size), C, served))


def conflict_error(box: Box, C: float | None = None, served: float = 0.0) -> InputError:
    """What to tell of a box for which `contradiction` holds."""
    if not box.limits:
        return InputError("no plan is within the limits", where="limits", hint="Loosen some of them.")
    found = conflicting(box, C, served)
    low, high = [c for c in found if _is_low(c)], [c for c in found if _is_high(c)]
    sizes = [c for c in found if isinstance(c, MinParams | MaxParams | Memory)]
    if not sizes:
        return _of_shares(found, box)
    least = next((c for c in sizes if isinstance(c, MinParams)), None)
    most = next((c for c in sizes if not isinstance(c, MinParams)), None)
    if least is not None and most is not None and len(found) == 2:
        return InputError(f"{least.said} is above {most.said}", where="limits", hint="Keep the one that is meant.")
    assert C is not None
    if least is not None and most is None:
        return _too_small(least, C, served)
    assert most is not None
    caps = [c for c in found if isinstance(c, EpochCap)]
    fewest_tokens = (C / most.params - 2 * served) / 6
    return InputError(
        f"no model meets the budget: {C:.3g} FLOPs on {most.said}{'' if isinstance(most, MaxParams) else ' parameters'}"
        f" train {format_quantity(fewest_tokens, 'tokens')}; {_lack(low, high, caps, fewest_tokens, box)}",
        where="limits",
        hint=_ways_out(low, high, caps, most),
    )


def _is_low(limit: Constraint) -> bool:
    return isinstance(limit, MinShare | FixedShare)


def _is_high(limit: Constraint) -> bool:
    return isinstance(limit, MaxShare | FixedShare)


def _by_blame(limits: Sequence[Constraint]) -> list[Constraint]:
    """What a user would change last comes last: caps and small shares are let go before large shares and sizes."""

    def rank(limit: Constraint) -> tuple[int, float]:
        match limit:
            case MaxShare():
                return 0, -limit.share
            case EpochCap():
                return 1, -limit.tokens
            case MinShare():
                return 2, limit.share
            case FixedShare():
                return 3, limit.share
            case _:
                return 4, 0.0

    return sorted(limits, key=rank)


def _of_shares(found: Sequence[Constraint], box: Box) -> InputError:
    shares = [c for c in found if isinstance(c, MinShare | MaxShare | FixedShare)]
    if len({c.index for c in shares}) == 1 and len(shares) == 2:
        low, high = sorted(shares, key=lambda c: not _is_low(c))
        hint = f"Lower {low.name}'s min_share (limits.min_share where it has none of its own), or raise its max_share."
        what = f"the minimum share {low.share:g} is above the maximum {high.share:g}"
        return InputError(what, where=f"languages, {low.name}", hint=hint)
    total = sum(c.share for c in shares)
    if all(_is_low(c) for c in shares) and total > 1:
        return InputError(
            f"{_listed(shares)} sum to {total:.4g}, above 1", where="languages", hint="Lower some of them."
        )
    if len(shares) == len(box.share_low) and all(_is_high(c) for c in shares):
        return InputError(
            f"{_listed(shares)} sum to {total:.4g}, below 1", where="languages", hint="Raise some of them."
        )
    return InputError(f"{_listed(found)} contradict each other", where="languages", hint="Change one of them.")


def _too_small(least: MinParams, C: float, served: float) -> InputError:
    left = max(C - 2 * least.params * served, 0.0)
    serving = f" once {format_quantity(served, 'tokens')} are served" if served else ""
    return InputError(
        f"{C:.3g} FLOPs train no model: the smallest allowed, {format_quantity(least.params)} parameters, "
        f"would see {left / (6 * least.params):.3g} tokens{serving}",
        where="budget",
        hint="Raise the budget, or lower limits.min_params" + (" or budget.served_tokens." if served else "."),
    )


def _lack(
    low: Sequence[Constraint], high: Sequence[Constraint], caps: Sequence[EpochCap], tokens: float, box: Box
) -> str:
    """Why the text does not last for so many tokens."""
    if len(low) == len(caps) == 1 and isinstance(low[0], MinShare | FixedShare) and low[0].index == caps[0].index:
        needed = format_quantity(low[0].share * tokens, "tokens")
        return f"{low[0].said} needs {needed} of it, and {caps[0].said} allow {format_quantity(caps[0].tokens)}"
    shares = [c for c in dict.fromkeys((*low, *high)) if isinstance(c, OfLanguage)]
    lasting = most_tokens_of(box_of([*caps, *shares], len(box.share_low)))
    told = _listed(caps) if caps else ""
    if shares:
        told = f"{told} with {_listed(shares)}" if told else _listed(shares)
    return f"{told} allow {format_quantity(lasting, 'tokens')}"


def _ways_out(
    low: Sequence[Constraint], high: Sequence[Constraint], caps: Sequence[EpochCap], most: MaxParams | Memory
) -> str:
    ways = ["raise max_epochs or give more text"] * bool(caps)
    ways += ["lower the share"] * bool(low) + ["raise max_share"] * any(isinstance(c, MaxShare) for c in high)
    ways += ["raise max_params" if isinstance(most, MaxParams) else "use more memory", "lower the budget"]
    text = f"{', '.join(ways[:-1])}, or {ways[-1]}"
    return f"{text[0].upper()}{text[1:]}."


def _listed(limits: Sequence[Constraint]) -> str:
    """All of a few; of many of one kind, what they have in common."""
    kinds: dict[type, list[Constraint]] = {}
    for limit in limits:
        kinds.setdefault(type(limit), []).append(limit)
    parts = []
    for kind, members in kinds.items():
        if len(members) <= 6:
            parts += [c.said for c in members]
            continue
        names = some([c.name for c in members if isinstance(c, OfLanguage)], 4)
        parts.append(f"{len(members)} limits of {_KINDS.get(kind, 'size')} ({names})")
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


_KINDS: dict[type, str] = {EpochCap: "epochs", MinShare: "min_share", MaxShare: "max_share", FixedShare: "share"}
