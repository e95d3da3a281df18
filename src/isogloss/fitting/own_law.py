"""Whether a law can be fitted to these rows at all: told before the search, not by its failure."""

from __future__ import annotations

import numpy as np

from isogloss.errors import InputError
from isogloss.fitting.objective import Objective
from isogloss.fitting.problem import Problem
from isogloss.laws.base import Law
from isogloss.laws.own import place_of
from isogloss.numerics import jax, jnp

# Starting points and rows at which a user's law is tried.
TRIED = 4


def check_objective(law: type[Law], cost: Objective, loss: np.ndarray, source: str) -> None:
    """Losses that are not above zero need a law that knows them, and an objective without logarithms."""
    low = int((loss <= 0).sum())
    if not low:
        return
    if not law.signed:
        raise InputError(
            f"{low} of {len(loss)} losses are not above zero (lowest {loss.min():g}), and law {law.name} is of "
            "losses above zero",
            where=f"{source}, column loss",
            hint="Only laws of unigram-normalised losses or of other metrics describe such.",
        )
    if not np.isfinite(cost.residual(-1.0, -1.0)):
        raise InputError(
            f"losses down to {loss.min():g} have no logarithm, which objective {cost.name} takes",
            where=f"{source}, column loss",
            hint="Use --objective squared.",
        )


def check_usable(problem: Problem, source: str) -> None:
    """A user's own law gives a finite loss with finite gradients at a few rows. Ours are tested elsewhere."""
    law = problem.layout.law
    if law.file is None or not problem.layout.free:
        return
    index = np.unique(np.linspace(0, problem.rows - 1, TRIED).astype(int))
    columns = {k: jnp.asarray(v[index]) for k, v in problem.columns.items()}
    held, centres = jnp.asarray(np.nan_to_num(problem.held)), jnp.asarray(problem.centres)

    def loss(z: jax.Array) -> jax.Array:
        return problem.layout.to_law(problem.layout.values(z, held, centres)).loss(**columns)

    starts = jnp.asarray(problem.layout.starts(TRIED, problem.loss, np.random.default_rng(0)))
    where = law.file
    try:
        found = np.asarray(jax.vmap(loss)(starts), float)
        slopes = np.asarray(jax.vmap(jax.jacfwd(loss))(starts), float)
    except Exception as error:
        raise InputError(
            f"loss of {law.__name__} fails: {type(error).__name__}: {str(error).splitlines()[0]}",
            where=place_of(error, law.file.rpartition(":")[0]),
            hint="It must be a formula of its columns in JAX: operators, and jnp for functions.",
        ) from error
    if found.shape != (len(starts), len(index)):
        raise InputError(
            f"loss of {law.__name__} gives shape {found.shape[1:]} for {len(index)} rows",
            where=where,
            hint="It must give one loss for each row.",
        )
    fine = np.isfinite(found).all(1) & np.isfinite(slopes).all((1, 2))
    if not fine.any():
        bad = np.argwhere(~np.isfinite(found) | ~np.isfinite(slopes).all(2))[0]
        at = ", ".join(f"{k} = {np.asarray(v)[bad[1]]}" for k, v in columns.items())
        what = "loss" if not np.isfinite(found[tuple(bad)]) else "gradient"
        raise InputError(
            f"the {what} of {law.__name__} is not finite at {at}",
            where=f"{where}, on {source}",
            hint="Check its bounds, and that coefficients with a unit say so with scales.",
        )
    if not np.abs(slopes).any():
        raise InputError(f"the loss of {law.__name__} depends on none of its coefficients", where=where)
