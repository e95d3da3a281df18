"""Draws of a posterior: the law, an effect of each run, and errors with heavy tails, sampled by NUTS.

    residual_i = u_run(i) + e_i,   u ~ Normal(0, tau),   e ~ Student's t(nu, 0, sigma)

The objective gives only what a residual is (a difference of log losses, usually); its cost has no part in this, so
the middle of the posterior is not the fit's estimate. Coefficients have normal priors centred on the law's start
ranges and about as wide, which the runs should outweigh; sigma and tau have half-Cauchy priors as wide as the fit's
residuals, nu the gamma prior of Juarez and Steel (2010). Errors that only neighbouring checkpoints share are not in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from isogloss.errors import FitError, InputError
from isogloss.fitting.laplace import covariance_of_few, root
from isogloss.fitting.layout import Layout
from isogloss.fitting.objective import Objective
from isogloss.fitting.problem import predicted
from isogloss.fitting.solved import Solved
from isogloss.numerics import jax, jnp

CHAINS = 2
WARM_UP = 500
# Priors are this many standard deviations of the start range wide.
PRIOR_WIDTH = 3.0
# R-hat above which chains have not found the same posterior (Vehtari et al. 2021 ask for 1.01, of longer ones).
MOST_R_HAT = 1.1


def posterior(
    solved: Solved, draws: int, rng: np.random.Generator, report: Callable[[int], None] | None = None
) -> np.ndarray:
    """`(draws, free)`. Raises InputError without NumPyro, FitError where the chains do not agree."""
    check_installed("bootstrap, wild, laplace or profile")
    # One checkpoint a run cannot tell the run's effect from its error.
    effects = solved.runs if solved.runs < solved.problem.rows else 0
    each = -(-draws // CHAINS)
    sampler = _sampler(solved.problem.layout, solved.problem.objective, effects, each)
    data = _data(solved)
    sampler.run(jax.random.PRNGKey(int(rng.integers(2**31))), data)
    chains = np.asarray(sampler.get_samples(group_by_chain=True)["z"])
    check_agreement(chains, _names(solved), hint="choose another kind of interval")
    if report is not None:
        report(draws)
    return chains.reshape(-1, chains.shape[-1])[:draws]


def _data(solved: Solved) -> dict[str, Any]:
    """What the model is given: rows, priors, and the coordinates in which the sampler walks."""
    problem, found = solved.problem, solved.sandwich()
    range_of_starts = problem.layout.starts(256, problem.loss, np.random.default_rng(0))
    error = float(found.residuals.std())
    errors = np.sqrt(np.maximum(np.diag(covariance_of_few(found)), 0.0))
    far = 100 * (np.abs(solved.z) + errors)
    lower = np.where(np.isfinite(solved.lower), solved.lower, solved.z - far)
    upper = np.where(np.isfinite(solved.upper), solved.upper, solved.z + far)
    place = np.clip((solved.z - lower) / (upper - lower), 1e-4, 1 - 1e-4)
    # The sampler's unit is a standard error in the logit of the place between the bounds.
    unit = (
        root(covariance_of_few(found) + 1e-12 * np.eye(len(lower))) / ((upper - lower) * place * (1 - place))[:, None]
    )
    arrays = {
        "loss": problem.loss,
        "held": np.nan_to_num(problem.held),
        "centres": problem.centres,
        "run": solved.run,
        "prior_mean": range_of_starts.mean(0),
        "prior_scale": PRIOR_WIDTH * np.maximum(range_of_starts.std(0), 1e-3),
        "lower": lower,
        "upper": upper,
        "centre": np.log(place / (1 - place)),
        "unit": unit,
        "error": np.array(max(error, 1e-9)),
    }
    columns = {k: jnp.asarray(v) for k, v in problem.columns.items()}
    return {"columns": columns, **{k: jnp.asarray(v) for k, v in arrays.items()}}


@lru_cache(maxsize=8)
def _sampler(layout: Layout, objective: Objective, effects: int, draws: int) -> Any:
    """NUTS for one law and number of runs; it compiles once for tables of one length."""
    import numpyro
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS, init_to_value

    def model(data: dict[str, Any]) -> None:
        free = len(layout.free)
        x = numpyro.sample("x", dist.ImproperUniform(dist.constraints.real, (), (free,)))
        logit = data["centre"] + data["unit"] @ x
        place = jax.nn.sigmoid(logit)
        z = numpyro.deterministic("z", data["lower"] + (data["upper"] - data["lower"]) * place)
        # x is flat in the logit; the prior is of z.
        numpyro.factor("jacobian", (jax.nn.log_sigmoid(logit) + jax.nn.log_sigmoid(-logit)).sum())
        numpyro.factor("prior", dist.Normal(data["prior_mean"], data["prior_scale"]).log_prob(z).sum())
        sigma = numpyro.sample("sigma", dist.HalfCauchy(1.0)) * data["error"]
        nu = numpyro.sample("nu", dist.Gamma(2.0, 0.1))
        middle = jnp.zeros(())
        if effects:
            tau = numpyro.sample("tau", dist.HalfCauchy(1.0)) * data["error"]
            middle = (tau * numpyro.sample("run", dist.Normal(0.0, 1.0).expand([effects])))[data["run"]]
        r = objective.residual(predicted(layout, z, data), data["loss"])
        numpyro.factor("rows", dist.StudentT(nu, middle, sigma).log_prob(r).sum())

    values = {"x": jnp.zeros(len(layout.free)), "sigma": 1.0, "nu": 5.0}
    if effects:
        values |= {"tau": 0.5, "run": jnp.zeros(effects)}
    return MCMC(
        NUTS(model, init_strategy=init_to_value(values=values), target_accept_prob=0.9),
        num_warmup=WARM_UP,
        num_samples=draws,
        num_chains=CHAINS,
        chain_method="vectorized",
        progress_bar=False,
        jit_model_args=True,
    )


def _names(solved: Solved) -> list[str]:
    layout = solved.problem.layout
    return [layout.slots[i].name for i in layout.free]


def check_agreement(chains: np.ndarray, names: list[str], *, hint: str) -> None:
    """Chains `(chains, draws, quantities)` split in halves must look alike (R-hat), else FitError names the worst."""
    if chains.shape[1] < 4:
        return
    half = chains.shape[1] // 2
    parts = np.concatenate([chains[:, :half], chains[:, half : 2 * half]])
    within, between = parts.var(1, ddof=1).mean(0), parts.mean(1).var(0, ddof=1)
    r_hat = np.sqrt((half - 1) / half + between / np.maximum(within, 1e-300))
    if not r_hat.max() <= MOST_R_HAT:
        worst = names[int(np.nanargmax(r_hat))]
        raise FitError(
            f"the chains of the posterior do not agree on {worst} (R-hat {r_hat.max():.2f}): the runs hardly determine "
            f"it. Hold a coefficient with --fix, raise --draws, or {hint}."
        )


def check_installed(instead: str) -> None:
    """Raises InputError without NumPyro, that names what could be chosen `instead`."""
    try:
        import numpyro  # noqa: F401
    except ImportError:
        raise InputError(
            "intervals by posterior need NumPyro, which is not installed",
            hint=f"pip install 'isogloss[bayes]', or choose {instead}.",
        ) from None
