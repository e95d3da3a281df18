"""The hierarchy's density in the sampler's coordinates, against the same model written plainly."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from pooling import simulated
from scipy import stats
from worlds import alone, make_runs, make_world, measure, pairs

from isogloss.errors import FitError
from isogloss.fitting.groups import Groups, group_rows, held_where_unseen
from isogloss.fitting.hierarchy import Shape, density
from isogloss.fitting.languages_posterior import ATTEMPTS, LEAST_EACH, prepared, sample
from isogloss.fitting.noise import curvature, dispersions, noise_of
from isogloss.fitting.objective import HuberLogLoss
from isogloss.fitting.population import Population, assumed_widths
from isogloss.fitting.problem import residuals
from isogloss.fitting.spread import Optimum
from isogloss.laws import Atlas, Chinchilla
from isogloss.numerics import Array, jax, jnp
from isogloss.runs import RunTable, read_runs

pytest.importorskip("numpyro", reason="the posterior needs the extra bayes")

Case = Literal["chinchilla", "chinchilla tied", "atlas"]


def mixtures() -> RunTable:
    """Runs of two languages each, with two checkpoints, measured on both."""
    world = make_world(4, seed=1, text=(3e9, 3e10))
    runs = make_runs(
        sizes=[1e8, 1e9], tokens=np.array([1e10, 5e10]), mixtures=np.concatenate([alone(world), pairs(world, 1)])
    )
    return read_runs(measure(world, runs), unit="nats/token")


def made(case: Case) -> tuple[Groups, Optimum]:
    """Groups and some point with a population: which point, the density must not depend on."""
    if case == "atlas":
        groups = group_rows(Atlas, mixtures(), HuberLogLoss(), tie=["lambda_"])
    else:
        table, _ = simulated(0, languages=3, runs=(4, 9))
        tie = [] if case == "chinchilla" else ["alpha", "A"]
        groups = group_rows(Chinchilla, table, HuberLogLoss(), tie=tie)
    if case == "chinchilla tied":
        groups = held_where_unseen(groups)
    first = groups.problems[0]
    common = groups.layout.starts(64, first.loss, np.random.default_rng(0)).mean(0)
    z = np.broadcast_to(np.clip(common, groups.lower.max(0), groups.upper.min(0)), groups.lower.shape).copy()
    noise = noise_of(groups, z)
    hessian, scores = curvature(groups, z, noise)
    over = dispersions(hessian, scores)
    population = None
    if case != "chinchilla tied":
        wide = np.diag(np.where(groups.shared, 0.0, assumed_widths(groups) ** 2))
        population = Population(z[0], wide, wide / 4)
    optimum = Optimum(z, hessian / over[:, None, None], scores / over[:, None, None] ** 2, over, noise, population)
    return groups, optimum


def drawn_sites(shape: Shape, seed: int) -> dict[str, Array]:
    """Some place of the sampler, not far from its start."""
    rng = np.random.default_rng(seed)
    sites: dict[str, Any] = {
        "sigma": rng.uniform(0.7, 1.4),
        "nu": rng.uniform(3, 9),
        "unlike": 0.2,
        "size": rng.standard_normal(shape.groups),
        "x": 0.3 * rng.standard_normal((shape.groups, len(shape.own))),
        "x_shared": 0.3 * rng.standard_normal(len(shape.shared)),
        "x_mean": 0.3 * rng.standard_normal(shape.kinds),
        "spread": rng.uniform(0.4, 1.2, shape.kinds),
    }
    corner = rng.standard_normal((len(shape.correlated), 2 * len(shape.correlated)))
    root = np.linalg.cholesky(corner @ corner.T) if shape.correlated else np.zeros((0, 0))
    sites["correlation"] = root / np.linalg.norm(root, axis=1, keepdims=True)
    for i, count in enumerate(shape.effects):
        sites |= {f"tau{i}": rng.uniform(0.3, 1.0), f"run{i}": rng.standard_normal(count)}
    return {name: jnp.asarray(value) for name, value in sites.items()}


def plainly(groups: Groups, optimum: Optimum, shape: Shape, data: dict[str, Any], sites: dict[str, Array]) -> float:
    """Likelihood, population and priors, and the determinant of x to z and mean by differentiation."""
    own, shared = list(shape.own), list(shape.shared)
    firsts = [shape.kind.index(k) for k in range(shape.kinds)]

    def moved(x: dict[str, Array]) -> Array:
        _, found = density(shape, data, sites | x)
        parts = [found["z"][0, jnp.array(shared, int)], found["z"][:, jnp.array(own, int)].ravel()]
        return jnp.concatenate([*parts, found["mean"][jnp.array(firsts, int)]] if shape.pooled else parts)

    walked = {name: sites[name] for name in ("x_shared", "x", *(["x_mean"] if shape.pooled else []))}
    columns = [np.asarray(j).reshape(len(j), -1) for j in jax.jacfwd(moved)(walked).values()]
    total = np.linalg.slogdet(np.concatenate(columns, axis=1))[1]

    found = {k: np.asarray(v) for k, v in density(shape, data, sites)[1].items()}
    z, at = found["z"], {k: np.asarray(v) for k, v in sites.items()}
    sigma = optimum.noise.sigma * at["sigma"] * np.exp(at["unlike"] * at["size"])
    begin = 0
    for g, problem in enumerate(groups.problems):
        of = slice(begin, begin + problem.rows)
        begin += problem.rows
        middle = np.zeros(problem.rows)
        for i, numbers in enumerate(data["effects"]):
            middle += optimum.noise.sigma * at[f"tau{i}"] * np.append(at[f"run{i}"], 0)[np.asarray(numbers)[of]]
        total += stats.t.logpdf(residuals(problem, z[g])[0], at["nu"], middle, sigma[g]).sum()
    mean, scale = np.asarray(data["prior_mean"]), np.asarray(data["prior_scale"])
    total += stats.norm.logpdf(z[0, shared], mean[0, shared], scale[0, shared]).sum()
    if not shape.pooled:
        return float(total + stats.norm.logpdf(z[:, own], mean[:, own], scale[:, own]).sum())
    total += stats.norm.logpdf(np.linalg.solve(found["root"], (z[:, own] - found["mean"]).T)).sum()
    total -= len(groups) * np.linalg.slogdet(found["root"])[1]
    at_first = [own[i] for i in firsts]
    return float(total + stats.norm.logpdf(found["mean"][firsts], mean[0, at_first], scale[0, at_first]).sum())


@pytest.mark.slow
@pytest.mark.parametrize("case", ["chinchilla", "chinchilla tied", "atlas"])
def test_the_density_is_that_of_the_model_written_plainly(case: Case) -> None:
    """Up to a constant: whatever the coordinates, and with all noise and effects."""
    groups, optimum = made(case)
    shape, data = prepared(groups, optimum)
    assert shape.pooled == (case != "chinchilla tied")
    assert len(shape.effects) == (2 if case == "atlas" else 0)
    assert bool(shape.shared) == (case != "chinchilla")
    ours, plain = [], []
    for seed in range(4):
        sites = drawn_sites(shape, seed)
        ours.append(float(density(shape, data, sites)[0]))
        plain.append(plainly(groups, optimum, shape, data, sites))
    assert np.isfinite(ours).all()
    assert np.ptp(plain) > 1
    np.testing.assert_allclose(np.diff(ours), np.diff(plain), rtol=1e-6, atol=1e-5)


def test_weights_of_sources_are_of_one_population() -> None:
    groups, optimum = made("atlas")
    shape, data = prepared(groups, optimum)
    _, found = density(shape, data, drawn_sites(shape, 0))
    block = [i for i, k in enumerate(shape.kind) if shape.kind.count(k) > 1]
    assert len(block) >= 2
    assert len(np.unique(np.asarray(found["mean"])[block])) == 1
    root = np.asarray(found["root"])
    assert len(np.unique(np.diag(root)[block])) == 1
    assert np.count_nonzero(root[block]) == len(block)


def test_nothing_leaves_its_bounds_however_far_the_sampler_walks() -> None:
    groups, optimum = made("chinchilla")
    shape, data = prepared(groups, optimum)
    for far in (-1e3, 1e3):
        sites = drawn_sites(shape, 0) | {"x": jnp.full((shape.groups, len(shape.own)), far)}
        z = np.asarray(density(shape, data, sites)[1]["z"])
        assert np.all((z >= groups.lower - 1e-9) & (z <= groups.upper + 1e-9))


class Chains:
    """In place of NUTS: two chains that do not agree until they have been run `after` times."""

    def __init__(self, shape: Shape, z: np.ndarray, after: int):
        self.shape, self.z, self.after, self.runs = shape, z, after, 0

    def run(self, key: Array, data: dict[str, Any]) -> None:  # noqa: ARG002
        self.runs += 1

    def get_samples(self, *, group_by_chain: bool) -> dict[str, np.ndarray]:
        assert group_by_chain
        rng, own = np.random.default_rng(self.runs), len(self.shape.own)
        z = self.z + 1e-3 * rng.standard_normal((2, LEAST_EACH, *self.z.shape))
        if self.runs < self.after:
            z[1] += 0.1
        mean = rng.standard_normal((2, LEAST_EACH, own))
        root = np.eye(own) * (1 + 0.1 * rng.standard_normal((2, LEAST_EACH, own, 1)))
        return {"z": z, "mean": mean, "root": root}


def test_chains_that_do_not_agree_are_run_anew_and_at_last_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, optimum = made("chinchilla")
    shape, _ = prepared(groups, optimum)
    for after, ends in ((ATTEMPTS, True), (ATTEMPTS + 1, False)):
        chains = Chains(shape, optimum.z, after)
        monkeypatch.setattr("isogloss.fitting.languages_posterior.sampler", lambda *_, chains=chains: chains)
        if ends:
            assert sample(groups, optimum, 10, np.random.default_rng(0)).z.shape == (3, 10, 5)
        else:
            with pytest.raises(FitError, match=r"do not agree on \w+ of \w+_Latn"):
                sample(groups, optimum, 10, np.random.default_rng(0))
        assert chains.runs == ATTEMPTS
