"""How much a plan's loss depends on each transfer score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from isogloss.numerics import jax, jnp
from isogloss.planning.allocate import losses_of_seen
from isogloss.planning.evidence import ground
from isogloss.planning.plan import plan
from isogloss.planning.question import Question, read_question


def transfer_importance(
    question: str | Path | Mapping[str, Any] | Question, *, seed: int = 0
) -> tuple[tuple[str, ...], np.ndarray]:
    """Languages, and `(K, K)` [target, source]: the square of d mean loss / d BTS at the plan of `question`.

    With the variance of a score this is what the score contributes to the variance of the plan's mean loss, to first
    order: what `isogloss.transfer.suggest` takes as `purpose`. Raises what `plan` raises.
    """
    asked = read_question(question)
    basis, answer = ground(asked), plan(asked, seed=seed, draws=0)
    tokens = np.maximum(answer.shares * answer.D, 1.0)
    by_phase = [row.part * row.shares for row in answer.phases] or [answer.shares]
    x = np.log(np.maximum(np.concatenate(by_phase) * answer.D, 1.0))
    _, seen, _ = basis.text.from_logs(x[None], np.asarray(basis.law.lambda_, float)[None])
    ceiling = asked.assumptions.guessing(basis.loss_unit)

    def mean_loss(tau: Any) -> Any:
        law = replace(basis.law, tau=tau)
        losses = losses_of_seen(law, jnp.asarray(seen[0]), ceiling, jnp.asarray(tokens), answer.N)
        return jnp.asarray(basis.weights) @ losses

    tau = np.asarray(basis.law.tau, float)
    slope = np.asarray(jax.grad(mean_loss)(jnp.asarray(tau)))
    # d tau / d BTS = 2 / (2 - BTS)^2 = (1 + tau)^2 / 2
    importance = (slope * (1 + tau) ** 2 / 2) ** 2
    np.fill_diagonal(importance, 0.0)
    return basis.languages, importance
