"""The density of all languages' laws at once, and NUTS for it: shared coordinates, each language's own, the
population that these are drawn from, and the noise.

    y_g = m_g(mean, covariance, shared, noise) + V_g^(1/2) x_g,   z_g = y_g softly kept within its bounds

The sampler walks in x, where a language is near standard normal whatever the number of its rows: m_g and V_g are
what its rows, taken as linear in z about the joint optimum, make of the population. So neither the centred nor the
non-centred hierarchy need be chosen (Papaspiliopoulos, Roberts and Sköld 2007). It is a change of variables only:
densities are of z, with the map's Jacobian. The population is normal, given that all languages are within bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from isogloss.fitting.layout import Layout
from isogloss.fitting.objective import Objective
from isogloss.fitting.posterior import CHAINS, WARM_UP
from isogloss.numerics import Array, jax, jnp

# The population's correlations: LKJ of this concentration.
CONCENTRATION = 2.0
# Degrees of freedom of the half-t prior of how far languages differ: a wider spread than assumed must stay possible.
SPREAD_TAIL = 4.0
# How far the sizes of languages' noise differ, as a standard deviation of logarithms: its half-normal prior.
UNLIKE_NOISE = 0.3


@dataclass(frozen=True)
class Shape:
    """What a program is compiled for, beside the lengths of its arrays. `own` and `shared` index the moved
    coordinates. `kind` is of each own one: elements of one coefficient are of one kind. `correlated` are places in
    `own`. `effects` counts, at each level, the runs with an effect of their own."""

    layout: Layout
    objective: Objective
    groups: int
    own: tuple[int, ...]
    shared: tuple[int, ...]
    kind: tuple[int, ...]
    correlated: tuple[int, ...]
    pooled: bool
    effects: tuple[int, ...]

    @property
    def kinds(self) -> int:
        return max(self.kind, default=-1) + 1


@lru_cache(maxsize=8)
def sampler(shape: Shape, draws: int) -> Any:
    """NumPyro's MCMC of `draws` draws a chain, run on what `languages_posterior` makes of groups. Its sites: z
    `(groups, free)`, and where pooled mean `(own,)` and root `(own, own)`, the covariance's."""
    import numpyro
    from numpyro.infer import MCMC, NUTS, init_to_value

    def model(data: dict[str, Any]) -> None:
        sites = _sites(shape)
        total, found = density(shape, data, sites)
        numpyro.factor("density", total)
        for name, value in found.items():
            numpyro.deterministic(name, value)

    # Everything else begins at zero.
    values: dict[str, Any] = {"sigma": 0.8, "nu": 5.0, "unlike": 0.1, "spread": 0.5 * jnp.ones(shape.kinds)}
    values |= {f"tau{i}": 0.5 for i in range(len(shape.effects))}
    zeros = {"size": (shape.groups,), "x": (shape.groups, len(shape.own)), "x_shared": (len(shape.shared),)}
    zeros |= {"x_mean": (shape.kinds,), **{f"run{i}": (n,) for i, n in enumerate(shape.effects)}}
    values |= {name: jnp.zeros(size) for name, size in zeros.items()}
    values["correlation"] = jnp.eye(len(shape.correlated))
    return MCMC(
        NUTS(model, init_strategy=init_to_value(values=values), target_accept_prob=0.9),
        num_warmup=WARM_UP,
        num_samples=draws,
        num_chains=CHAINS,
        chain_method="vectorized",
        progress_bar=False,
        jit_model_args=True,
    )


def _sites(shape: Shape) -> dict[str, Array]:
    """What is sampled. The coordinates x are flat here: `density` has the density of what they stand for."""
    import numpyro
    import numpyro.distributions as dist

    flat = {"x": (shape.groups, len(shape.own)), "x_shared": (len(shape.shared),)}
    priors: dict[str, Any] = {
        "sigma": dist.HalfCauchy(1.0),
        "nu": dist.Gamma(2.0, 0.1),
        "unlike": dist.HalfNormal(UNLIKE_NOISE),
        "size": dist.Normal(0.0, 1.0).expand([shape.groups]),
        **{f"tau{i}": dist.HalfCauchy(1.0) for i in range(len(shape.effects))},
        **{f"run{i}": dist.Normal(0.0, 1.0).expand([n]) for i, n in enumerate(shape.effects)},
    }
    if shape.pooled:
        flat["x_mean"] = (shape.kinds,)
        priors["spread"] = dist.FoldedDistribution(dist.StudentT(SPREAD_TAIL, 0.0, 1.0)).expand([shape.kinds])
    if shape.correlated:
        priors["correlation"] = dist.LKJCholesky(len(shape.correlated), CONCENTRATION)
    priors |= {name: dist.ImproperUniform(dist.constraints.real, (), size) for name, size in flat.items()}
    return {name: jnp.asarray(numpyro.sample(name, prior)) for name, prior in priors.items()}


@partial(jax.jit, static_argnums=0)
def density(shape: Shape, data: dict[str, Any], sites: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Log density of rows and coordinates with the Jacobian of their map, and what is kept of a draw. Compiled by
    itself: NumPyro runs its model once as plain Python, one operation after the other."""
    sigma = data["noise"] * sites["sigma"] * jnp.exp(sites["unlike"] * sites["size"])
    z, prior, found = _coordinates(shape, data, sites, (data["error"] / sigma) ** 2)
    return prior + _rows(shape, data, sites, z, sigma), {"z": z, **found}


# --- rows -------------------------------------------------------------------------------------------


def _rows(shape: Shape, data: dict[str, Any], sites: dict[str, Array], z: Array, sigma: Array) -> Array:
    """Log likelihood of all groups' rows."""
    import numpyro.distributions as dist

    layout, of = shape.layout, data["of"]
    values = layout.values(z, data["held"], data["centres"])

    def loss(values: Array, columns: dict[str, Array]) -> Array:
        return layout.to_law(values).loss(**{k: v[None] for k, v in columns.items()})[0]

    r = shape.objective.residual(jax.vmap(loss)(values[of], data["columns"]), data["loss"])
    middle = jnp.zeros(len(r))
    for i, numbers in enumerate(data["effects"]):
        effects = data["noise"] * sites[f"tau{i}"] * sites[f"run{i}"]
        middle += jnp.append(effects, 0.0)[numbers]
    each = dist.StudentT(sites["nu"], middle, sigma[of]).log_prob(r)
    return jnp.where(data["real"], each, 0.0).sum()


# --- coordinates ------------------------------------------------------------------------------------


def _coordinates(
    shape: Shape, data: dict[str, Any], sites: dict[str, Array], worth: Array
) -> tuple[Array, Array, dict[str, Array]]:
    """z `(groups, free)`, its log prior density with the map's Jacobian, and the population; `worth` `(groups,)` is
    how much more a row says than at the joint optimum's noise."""
    own, shared = jnp.array(shape.own, int), jnp.array(shape.shared, int)
    z, density, found = data["z"], jnp.zeros(()), {}
    if shape.shared:
        y = data["z"][0, shared] + data["unit"] @ sites["x_shared"]
        value, density = _within(data, y[None], shared, slice(1))
        density += _normal(value, data["prior_mean"][:1, shared], data["prior_scale"][:1, shared])
        z = z.at[:, shared].set(value)
    if shape.own:
        y, means, inverse, more, found = _drawn(shape, data, sites, worth, (z - data["z"])[0, shared])
        value, slope = _within(data, y, own, slice(None))
        away = jnp.einsum("gij,gj->gi", inverse, value - means)
        determinant = jnp.log(jnp.einsum("gii->gi", inverse)).sum()
        density += more + slope - 0.5 * (away**2).sum() + determinant
        z = z.at[:, own].set(value)
    return z, density, found


def _drawn(
    shape: Shape, data: dict[str, Any], sites: dict[str, Array], worth: Array, away: Array
) -> tuple[Array, Array, Array, Array, dict[str, Array]]:
    """y `(groups, own)`, with what is shared `away` from its optimum; of each group's normal prior the mean and the
    inverse root; the log density of the population with the Jacobian of x to y; and the population."""
    own, shared = jnp.array(shape.own, int), jnp.array(shape.shared, int)
    told = worth[:, None, None] * data["information"][:, own[:, None], own]
    pull = worth[:, None] * (data["pull"] - data["information"][:, own[:, None], shared] @ away)
    means, inverse = data["prior_mean"][:, own], jax.vmap(jnp.diag)(1 / data["prior_scale"][:, own])
    found = {}
    if shape.pooled:
        found["root"] = _root(shape, data, sites)
        unit = jnp.eye(len(shape.own))
        inverse = jnp.broadcast_to(jax.scipy.linalg.solve_triangular(found["root"], unit, lower=True), told.shape)
    precision = jnp.swapaxes(inverse, 1, 2) @ inverse
    half = _inverse_root(told + precision)
    V = jnp.swapaxes(half, 1, 2) @ half
    density = jnp.log(jnp.einsum("gii->gi", half)).sum()
    if shape.pooled:
        pulls = jnp.einsum("gij,gjk,gk->i", precision, V, pull)
        found["mean"], more = _mean(shape, data, sites["x_mean"], (told - told @ V @ told).sum(0), pulls)
        means, density = jnp.broadcast_to(found["mean"], means.shape), density + more
    towards = pull + jnp.einsum("gij,gj->gi", precision, means)
    y = jnp.einsum("gij,gj->gi", V, towards) + jnp.einsum("gji,gj->gi", half, sites["x"])
    return y, means, inverse, density, found


def _root(shape: Shape, data: dict[str, Any], sites: dict[str, Array]) -> Array:
    """Root of the population's covariance `(own, own)`."""
    spread = (sites["spread"] * data["width"])[jnp.array(shape.kind, int)]
    root = jnp.eye(len(shape.own))
    if shape.correlated:
        place = jnp.array(shape.correlated, int)
        root = root.at[place[:, None], place].set(sites["correlation"])
    return spread[:, None] * root


def _mean(shape: Shape, data: dict[str, Any], x: Array, told: Array, pulls: Array) -> tuple[Array, Array]:
    """The population's mean `(own,)`, about where the groups' linear rows put it, and its log density."""
    own, kind = jnp.array(shape.own, int), jnp.array(shape.kind, int)
    of_kind = jax.nn.one_hot(kind, shape.kinds)
    first = own[jnp.argmax(of_kind, axis=0)]
    prior_mean, prior_scale = data["prior_mean"][0, first], data["prior_scale"][0, first]
    half = _inverse_root(of_kind.T @ (0.5 * (told + told.T)) @ of_kind + jnp.diag(prior_scale**-2))
    mean = half.T @ (half @ (of_kind.T @ pulls + prior_mean / prior_scale**2) + x)
    return mean[kind], _normal(mean, prior_mean, prior_scale) + jnp.log(jnp.diag(half)).sum()


def _within(data: dict[str, Any], y: Array, index: Array, groups: slice) -> tuple[Array, Array]:
    """y within its bounds, unchanged but for a `soft` strip at each, and the log of the map's derivative.

    A coordinate without room stays; its y, of which nothing depends, has its prior's density."""
    lower, upper, soft = (data[k][groups, index] for k in ("lower", "upper", "soft"))
    a, b, room = (y - lower) / soft, (y - upper) / soft, (upper - lower) / soft
    value = lower + soft * (jax.nn.softplus(a) - jax.nn.softplus(b))
    slope = jax.nn.log_sigmoid(a) + jax.nn.log_sigmoid(-b) + jnp.log(-jnp.expm1(-room))
    idle = -0.5 * ((y - data["prior_mean"][groups, index]) / data["prior_scale"][groups, index]) ** 2
    return value, jnp.where(room > 0, slope, idle).sum()


def _normal(x: Array, mean: Array, scale: Array) -> Array:
    return jnp.asarray(-0.5 * (((x - mean) / scale) ** 2).sum())


def _inverse_root(matrices: Array) -> Array:
    """R, lower triangular, with R'R the inverse of positive definite `(..., n, n)`."""
    L = jnp.linalg.cholesky(matrices)
    unit = jnp.broadcast_to(jnp.eye(matrices.shape[-1]), matrices.shape)
    return jnp.asarray(jax.scipy.linalg.solve_triangular(L, unit, lower=True))
