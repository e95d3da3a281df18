"""Accelerators: peak rate and memory from their makers' pages, and the largest model that a memory trains."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, cast

from isogloss.errors import InputError, unknown_name
from isogloss.units import format_quantity, parse_quantity

# Bytes per parameter of AdamW in mixed precision: weights and gradients in bf16, and in fp32 the master weights
# and both moments, 2 + 2 + 12 (Rajbhandari et al. 2020, arXiv:1910.02054, section 3.1).
STATE_BYTES = 16.0

Checked = Literal["maker", "copies", "user"]


@dataclass(frozen=True)
class Accelerator:
    """`peak_flops` is dense bfloat16, FLOP/s, without sparsity; `memory` in bytes, None if unknown.

    `checked` says where the numbers were read: on the maker's page ("maker"), only in others' copies of it, which
    agree ("copies"), or in the question ("user").
    """

    name: str
    peak_flops: float
    memory: float | None
    checked: Checked = "user"
    source: str = "the question"
    address: str = ""


@cache
def accelerators() -> Mapping[str, Accelerator]:
    """The packaged table, by name."""
    text = resources.files("isogloss.planning").joinpath("data", "accelerators.csv").read_text(encoding="utf-8")
    return {row["name"]: _read(row) for row in csv.DictReader(text.splitlines())}


def _read(row: Mapping[str, str]) -> Accelerator:
    return Accelerator(
        name=row["name"],
        peak_flops=float(row["peak_flops"]),
        memory=parse_quantity(row["memory"], "bytes"),
        checked=cast(Checked, row["checked"]),
        source=row["source"],
        address=row["address"],
    )


PEAK_FLOPS: dict[str, float] = {name: chip.peak_flops for name, chip in accelerators().items()}
"""Peak dense bfloat16 FLOP/s by name."""


def canonical_name(name: str, own: Mapping[str, object] | None = None) -> str:
    """The name as the table, or the user's `own` table, spells it: case, spaces and hyphens do not matter.

    Raises InputError with near misses.
    """
    known = {_folded(k): k for k in (*accelerators(), *(own or {}))}
    if _folded(name) not in known:
        raise unknown_name(
            "accelerator", name, known.values(), see="Or give its peak_flops under [accelerators.<name>]."
        )
    return known[_folded(name)]


def _folded(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def state_bytes(N: float) -> float:
    """Bytes of weights, gradients and AdamW's state for N parameters, over all accelerators: 16 N."""
    return STATE_BYTES * N


def activation_bytes(layers: float, d_model: float, vocab_size: int, context_length: int) -> float:
    """Bytes that one sequence's activations need, every layer recomputed in the backward pass.

    Each layer keeps its input, 2 bytes a value, and the one at work all of its own, 34 a value, as attention that
    never stores its scores leaves them (Korthikanti et al. 2022, arXiv:2205.05198, equation 1 and section 5). To
    these come the logits and their gradient in fp32. Their block is GPT's; a gated one differs by some tenths.
    """
    values = context_length * d_model
    return 2 * layers * values + 34 * values + 8.0 * context_length * vocab_size


def max_trainable_params(
    memory: float, count: float, *, vocab_size: int, context_length: int, tied: bool = True, where: str = "memory"
) -> float:
    """The most parameters that `count` accelerators of `memory` bytes each train, one sequence at a time on each.

    States are spread evenly over all (ZeRO stage 3, fully sharded), activations are each accelerator's own: tensor
    or pipeline parallelism or offloading fit more, larger batches and unspread states less. Buffers and
    fragmentation are not counted. Raises InputError where not even the smallest shape fits.
    """

    # Shapes need JAX, and to name an accelerator does not.
    from isogloss.planning.flops import D_MODEL, Outline

    def excess(d_model: float) -> float:
        outline = Outline(vocab_size, tied)
        states = state_bytes(outline.params(d_model)) / count
        return states + activation_bytes(outline.layers(d_model), d_model, vocab_size, context_length) - memory

    low, high = D_MODEL
    if excess(low) > 0:
        raise InputError(
            f"{count:g} x {format_quantity(memory, 'bytes')} hold no model: {format_quantity(excess(low), 'bytes')} "
            f"short for d_model {low}, a vocabulary of {vocab_size:,} and a context of {context_length:,}",
            where=where,
            hint="Give more memory, or a smaller vocabulary or context.",
        )
    if excess(high) <= 0:
        return Outline(vocab_size, tied).params(high)
    from scipy.optimize import brentq

    return Outline(vocab_size, tied).params(cast(float, brentq(excess, low, high)))
