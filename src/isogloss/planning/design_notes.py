"""What to read before a design is used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isogloss.planning.answer import Plan
from isogloss.planning.design_answer import DesignRun, Regret
from isogloss.planning.design_belief import Belief
from isogloss.planning.design_runs import Setting
from isogloss.planning.design_search import MOST_RUNS, Chosen
from isogloss.units import format_quantity

# A regret below this is the same loss to anyone who trains models.
SMALL = 0.001
UNUSED = 0.8


def notes(
    stands: Plan,
    runs: Sequence[DesignRun],
    setting: Setting,
    budget: float,
    chosen: Chosen,
    before: Regret,
    belief: Belief,
    drift: float,
) -> tuple[str, ...]:
    top = max(r.run.N for r in runs)
    largest, planned = format_quantity(top, digits=2), format_quantity(stands.N, digits=2)
    found = [
        f"the largest run has {largest} parameters, the plan {planned}, {stands.N / top:.0f} times as many: what the "
        f"runs tell of the plan rests on the law's form. It is taken to be off by {drift:.1%} of the loss per tenfold "
        "of parameters (--drift), which no one has measured."
    ]
    below = sum(stands.N_range[0] > r.run.N for r in runs)
    if below:
        found.append(
            f"{below} of {len(runs)} runs have fewer parameters than any behind the laws "
            f"({format_quantity(stands.N_range[0])}): what they will show is extrapolated downwards."
        )
    unit = "bytes" if setting.vocab_size is None else f"a vocabulary of {setting.vocab_size:,} pieces"
    found.append(
        f"the study's tokens are those of {unit}, the plan's those of its own tokenizer: the laws that you fit to the "
        "runs count in the study's tokens, and so must the text in the question that uses them."
    )
    read = np.max([r.run.mixture.shares * r.run.tokens[-1] for r in runs if r.run.mixture.repeated is None], axis=0)
    most = int(np.argmax(read))
    found.append(
        f"one run reads {format_quantity(read[most], digits=2)} tokens of {stands.languages[most]}: it is counted on "
        "that there is as much text as the question says; with less, runs repeat it and tell less."
    )
    if before.mean < SMALL:
        found.append(
            f"the plan as it stands is expected to lose {before.mean:.2%} against the best: the runs will hardly "
            "change it."
        )
    if chosen.flops < UNUSED * budget:
        full = len(chosen.picks) >= MOST_RUNS
        why = f"it stops at {MOST_RUNS} runs" if full else "further runs would tell little more"
        found.append(f"the design uses {chosen.flops / budget:.0%} of the budget: {why}.")
    found += [f"assumed: {sentence}." for sentence in belief.assumed]
    return tuple(found)
