"""Simulated multilingual studies: languages with laws of their own, mixtures, runs, and noise as real runs have it.

Losses come from ATLAS's equations (arXiv:2510.22037, 1-3 and K^phi of 7), written here in plain NumPy, but with a
transfer weight of their own for every pair of languages: the three sources and the others that a fit is given
describe such a world only nearly, as they do the real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

NAMES = (
    *("eng_Latn", "deu_Latn", "fra_Latn", "spa_Latn", "ita_Latn", "por_Latn", "nld_Latn", "swe_Latn", "dan_Latn"),
    *("nob_Latn", "fin_Latn", "ekk_Latn", "lvs_Latn", "lit_Latn", "pol_Latn", "ces_Latn", "slk_Latn", "slv_Latn"),
    *("hrv_Latn", "hun_Latn", "ron_Latn", "bul_Cyrl", "rus_Cyrl", "ukr_Cyrl", "bel_Cyrl", "ell_Grek", "tur_Latn"),
    *("azj_Latn", "kaz_Cyrl", "arb_Arab", "heb_Hebr", "fas_Arab", "hin_Deva", "ben_Beng", "tam_Taml", "tel_Telu"),
    *("mar_Deva", "urd_Arab", "tha_Thai", "vie_Latn", "ind_Latn", "zsm_Latn", "kor_Hang", "jpn_Jpan", "swh_Latn"),
    *("hau_Latn", "yor_Latn", "amh_Ethi", "kat_Geor", "hye_Armn"),
)
FAMILY = 5
"""Languages next to each other in NAMES, in groups of this many, help each other most."""


@dataclass(frozen=True)
class World:
    """Languages and the laws of their losses: `laws` `(languages, 5)` E, A, alpha, B, beta in raw units; `tau`
    `(languages, languages)` is [target, source]; `text` `(languages,)` unique tokens."""

    names: tuple[str, ...]
    laws: np.ndarray
    tau: np.ndarray
    text: np.ndarray
    decay: float
    phi: float

    def effective(self, target: int, tokens: np.ndarray) -> np.ndarray:
        """D_eff `(runs,)` of a target from tokens `(runs, languages)`."""
        weights = self.tau[target].copy()
        weights[target] = 1.0
        return saturated(tokens, self.text, self.decay) @ weights

    def loss(self, target: int, N: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        E, A, alpha, B, beta = self.laws[target]
        D = np.maximum(self.effective(target, tokens), 1e-3 * tokens[:, target])
        return E + A * effective_number(tokens) ** self.phi / N**alpha + B / D**beta


def saturated(D: np.ndarray, U: np.ndarray, decay: float) -> np.ndarray:
    extra = -np.expm1(-decay * np.maximum(D / U - 1, 0)) / decay
    return np.minimum(D, U) + U * extra


def effective_number(tokens: np.ndarray) -> np.ndarray:
    p = tokens / tokens.sum(1, keepdims=True)
    return np.exp(-(p * np.log(np.where(p > 0, p, 1))).sum(1))


def make_world(
    languages: int = 8,
    *,
    seed: int = 0,
    spread: float = 1.0,
    phi: float = 0.0,
    transfer: tuple[float, float] = (0.35, 0.02),
    text: tuple[float, float] = (3e9, 1e12),
) -> World:
    """Laws scattered around published ones; `spread` 0 makes all languages alike. `transfer` is the mean weight
    within a family and outside it."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((languages, 5)) * spread
    alpha, beta = 0.34 * np.exp(0.1 * z[:, 2]), 0.31 * np.exp(0.1 * z[:, 4])
    # Terms are alike at a typical run (300M parameters, 10B tokens), not at N = 1.
    A = 0.55 * np.exp(0.15 * z[:, 1]) * 3e8**alpha
    B = 0.60 * np.exp(0.2 * z[:, 3]) * 1e10**beta
    E = 1.1 + 0.12 * z[:, 0]
    family = np.arange(languages) // FAMILY
    near = family[:, None] == family[None, :]
    tau = np.where(
        near,
        transfer[0] + 0.08 * rng.standard_normal(near.shape),
        transfer[1] + 0.02 * rng.standard_normal(near.shape),
    )
    np.fill_diagonal(tau, 0.0)
    unique = np.exp(rng.uniform(np.log(text[0]), np.log(text[1]), languages))
    return World(NAMES[:languages], np.stack([E, A, alpha, B, beta], 1), tau, unique, 0.065, phi)


@dataclass(frozen=True)
class Runs:
    """N and D `(points,)`, shares `(points, languages)`; points with one `run` number are one run's checkpoints."""

    N: np.ndarray
    D: np.ndarray
    shares: np.ndarray
    run: np.ndarray

    @property
    def tokens(self) -> np.ndarray:
        return self.shares * self.D[:, None]


def make_runs(
    *,
    sizes: Sequence[float] | np.ndarray,
    tokens: Sequence[float] | np.ndarray,
    mixtures: np.ndarray,
    keep: float = 1.0,
    seed: int = 0,
) -> Runs:
    """Every mixture `(mixtures, languages)` at every size, measured at every number of tokens; a random part `keep`
    of the runs. Sizes and tokens vary by a tenth, as real grids do."""
    rng = np.random.default_rng(seed)
    N, which = (a.ravel() for a in np.meshgrid(sizes, np.arange(len(mixtures)), indexing="ij"))
    chosen = rng.random(len(N)) < keep
    N, which = N[chosen] * np.exp(rng.normal(0, 0.1, chosen.sum())), which[chosen].astype(int)
    run, D = (a.ravel() for a in np.meshgrid(np.arange(len(N)), tokens, indexing="ij"))
    D = D * np.exp(rng.normal(0, 0.1, len(N)))[run]
    return Runs(N[run], D, mixtures[which][run], run)


def alone(world: World) -> np.ndarray:
    return np.eye(len(world.names))


def pairs(world: World, per_language: int = 3, share: float = 0.5) -> np.ndarray:
    """Each language with its next ones."""
    count = len(world.names)
    rows = []
    for i in range(count):
        for step in range(1, per_language + 1):
            row = np.zeros(count)
            row[i], row[(i + step) % count] = share, 1 - share
            rows.append(row)
    return np.array(rows)


def uneven(world: World, sizes: Sequence[int], *, each: int = 1, seed: int = 0) -> np.ndarray:
    """Mixtures of K languages for each K, from even to very uneven (Dirichlet)."""
    rng = np.random.default_rng(seed)
    rows = []
    for K in sizes:
        for _ in range(each):
            row = np.zeros(len(world.names))
            chosen = rng.choice(len(row), K, replace=False)
            row[chosen] = rng.dirichlet(np.full(K, rng.choice([0.5, 2.0, 50.0])))
            rows.append(np.where(row < 1e-3, 0, row))
    return np.array([row / row.sum() for row in rows])


def measure(
    world: World,
    runs: Runs,
    *,
    targets: Sequence[int] | None = None,
    noise: float = 0.005,
    heavy: bool = True,
    seed: int = 0,
) -> pl.DataFrame:
    """A run table: losses of the targets that each run was trained on, with log noise of sd `noise`, a third of its
    variance of the run, a third of the run and target, a third of each checkpoint (Student t, 3 degrees, if heavy)."""
    rng = np.random.default_rng(seed)
    part = noise / np.sqrt(3)

    def draw(shape: int) -> np.ndarray:
        return part * (rng.standard_t(3, shape) / np.sqrt(3) if heavy else rng.standard_normal(shape))

    count = int(runs.run.max()) + 1
    of_run = draw(count)
    frames = []
    for t in range(len(world.names)) if targets is None else targets:
        seen = runs.shares[:, t] > 0
        loss = world.loss(t, runs.N[seen], runs.tokens[seen])
        error = of_run[runs.run[seen]] + draw(count)[runs.run[seen]] + draw(int(seen.sum()))
        columns = {
            "run_id": [f"run{r:04d}" for r in runs.run[seen]],
            "target": [world.names[t]] * int(seen.sum()),
            "params_total": runs.N[seen],
            "tokens": runs.D[seen],
            "loss": loss * np.exp(error),
        }
        columns |= {f"share:{n}": runs.shares[seen, i] for i, n in enumerate(world.names)}
        columns |= {f"unique:{n}": np.full(int(seen.sum()), world.text[i]) for i, n in enumerate(world.names)}
        frames.append(pl.DataFrame(columns))
    return pl.concat(frames)
