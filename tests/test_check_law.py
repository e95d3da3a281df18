"""Every law passes the suite, and each broken law fails just the check made for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from isogloss import laws
from isogloss.errors import InputError
from isogloss.laws import Atlas, Chinchilla, CodeMixture, FamilyLaw, KLaw, Law, LawCheckError, Rising, check_law
from isogloss.laws.base import Value, coefficient, switch
from isogloss.laws.catalogue import Entry
from isogloss.numerics import jax, jnp

# Stand in for what was not published: of a size that published laws have.
STAND_INS: dict[str, Any] = {
    "E": 1.5,
    "A": 500.0,
    "B": 800.0,
    "alpha": 0.34,
    "beta": 0.3,
    "gamma": 0.1,
    "lambda_": 0.1,
    "tau": [0.2, -0.1, 0.0],
    "tau_other": -0.05,
    **{"c1": 0.4, "c2": 0.6, "c3": 0.8, "eta": 0.3, "C": 0.2, "eps": 0.05, "t": 0.4},
    "token-equivalents": {"a": 4e3, "b": 4.0, "c": 5.0},
}
CHINCHILLA: dict[str, Any] = {"E": 1.69, "A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28}
ATLAS: dict[str, Any] = {
    **CHINCHILLA,
    "lambda_": 0.1,
    "tau": np.array([0.2, -0.1]),
    "tau_other": 0.05,
    "phi": 0.11,
}
FAMILY: dict[str, Any] = {**CHINCHILLA, "gamma": 0.1}


def stand_ins(law: str, missing: Iterable[str]) -> dict[str, Any]:
    """A value for each coefficient; for three languages or pairs where there is one of each."""
    found = {}
    for c in laws.get_law(law).coefficients:
        if c.name in missing:
            value = STAND_INS[law].get(c.name) if law in STAND_INS else None
            value = STAND_INS[c.name] if value is None else value
            found[c.name] = [value, 1.1 * value, 1.2 * value] if c.per and np.ndim(value) == 0 else value
    return found


@pytest.mark.slow
@pytest.mark.parametrize("entry", [e for e in laws.entries() if e.law], ids=lambda entry: entry.id)
def test_published_laws_pass(entry: Entry) -> None:
    assert entry.law is not None
    check_law(entry.build(**stand_ins(entry.law, entry.missing)))


@pytest.mark.parametrize("law", [laws.Falling(E=0.05, B=2.0, beta=0.3), Rising(ceiling=0.8, B=0.5, beta=0.3)], ids=str)
def test_laws_of_no_paper_pass(law: Law) -> None:
    check_law(law)


def test_one_sized_transfer_passes() -> None:
    check_law(laws.DataTransferOneSize(E=1.0, B=500.0, beta=0.3, k=1e6, data=0.18))


@pytest.mark.parametrize("dose", ["linear", "equal"])
@pytest.mark.parametrize("tau", [(), (0.3, 0.1), (-0.4, -0.4), (0.3, -0.4, 0.2)], ids=str)
def test_atlas_passes_with_any_weights(dose: str, tau: tuple[float, ...]) -> None:
    check_law(Atlas(**{**ATLAS, "tau": np.array(tau), "tau_other": -0.1, "dose": dose}))


def test_atlas_passes_with_a_neutral_source_beside_a_harmful_one() -> None:
    check_law(Atlas(**{**ATLAS, "tau": np.array([0.0]), "tau_other": -0.1, "dose": "linear"}))


@pytest.mark.parametrize("tau", [-1e-9, 0.0, 1e-9])
def test_equal_doses_are_continuous_where_a_weight_changes_sign(tau: float) -> None:
    """The derivative in tau jumps there (help adds, harm is at its limit), the effective data must not."""
    law = Atlas(**{**ATLAS, "tau": np.array([tau]), "tau_other": -0.1, "dose": "equal"})
    assert float(law.effective_tokens(1.0, np.array([100.0]), 2.0)) == pytest.approx(0.9, abs=1e-6)


# --- broken laws ------------------------------------------------------------------------------------


class Overflows(Chinchilla, name="overflows", source="test"):
    def loss(self, N: Any, D: Any) -> Any:
        return self.E + self.A / N**self.alpha + jnp.exp(D / 1e10)


class Averages(Chinchilla, name="averages", source="test"):
    def loss(self, N: Any, D: Any) -> Any:
        return jnp.mean(self.E + self.A / N**self.alpha + self.B / D**self.beta)


class Negative(Chinchilla, name="negative", source="test"):
    def loss(self, N: Any, D: Any) -> Any:
        return self.E - self.A / N**self.alpha + self.B / D**self.beta


class Unscaled(FamilyLaw, name="unscaled", source="test"):
    """E does not share in p^-gamma, so the loss is below the scaled E."""

    def loss(self, N: Any, D: Any, p: Any) -> Any:
        return self.E + (self.A / N**self.alpha + self.B / D**self.beta) * p**-self.gamma


class RisesInN(Chinchilla, name="rises-in-n", source="test"):
    def loss(self, N: Any, D: Any) -> Any:
        return self.E + self.A * (N / 1e13) ** self.alpha + self.B / D**self.beta


class RisesInD(KLaw, name="rises-in-d", source="test"):
    """Overfits: past 1e12 tokens a language's loss rises."""

    def loss(self, N: Any, D_target: Any, K: Any) -> Any:
        overfit = 0.1 * jnp.maximum(jnp.log(D_target / 1e12), 0.0)
        return KLaw.loss(self, N, D_target, K) + overfit


class SourcesHurt(Atlas, name="sources-hurt", source="test"):
    def effective_tokens(self, own: Any, sources: Any, others: Any, K_other: Any = 1.0) -> Any:
        return Atlas.effective_tokens(self, own, -sources, others, K_other)


class Rounds(Chinchilla, name="rounds", source="test"):
    def to_dict(self) -> dict[str, Any]:
        return {k: v if k == "law" else round(v, 2) for k, v in Chinchilla.to_dict(self).items()}


class Unsaveable(Chinchilla, name="unsaveable", source="test"):
    device: Any = switch(object)


class NeverAlone(Atlas, name="never-alone", source="test"):
    """Other languages help whatever their weight."""

    def effective_tokens(self, own: Any, sources: Any, others: Any, K_other: Any = 1.0) -> Any:
        return Atlas.effective_tokens(self, own, sources, others, K_other) + 0.01 * others


class Branches(Chinchilla, name="branches", source="test"):
    def loss(self, N: Any, D: Any) -> Any:
        exponent = self.alpha if self.alpha > self.beta else self.beta
        return self.E + self.A / N**exponent + self.B / D**self.beta


class NoGradient(Chinchilla, name="no-gradient", source="test"):
    def loss(self, N: Any, D: Any) -> Any:
        return self.E + self.A / N**self.alpha + self.B / jax.lax.stop_gradient(D) ** self.beta


class HalfGradient(Chinchilla, name="half-gradient", source="test"):
    def loss(self, N: Any, D: Any) -> Any:
        alpha = (self.alpha + jax.lax.stop_gradient(self.alpha)) / 2
        return self.E + self.A / N**alpha + self.B / D**self.beta


class OnlyNumpy(Chinchilla, name="only-numpy", source="test"):
    def loss(self, N: Any, D: Any) -> Any:
        return self.E + self.A * jnp.exp(-self.alpha * np.log(np.asarray(N))) + self.B / D**self.beta


class Forgets(Rising, name="forgets", source="test"):
    """Accuracy falls again with more languages."""

    rises = ("x",)

    def loss(self, x: Any) -> Any:
        return self.ceiling - self.B / x**self.beta - 1e-6 * x


class BreaksTheCeiling(Rising, name="breaks-the-ceiling", source="test"):
    rises = ("x",)

    def loss(self, x: Any) -> Any:
        return self.ceiling + self.B - self.B / x**self.beta


class CostsShares(CodeMixture, name="costs-shares", source="test"):
    """The floor is that of the best language, whatever the mixture: below the average that it promises."""

    def loss(self, N: Any, D: Any, shares: Any) -> Any:
        excess = CodeMixture.loss(self, N, D, shares) - CodeMixture.least(self, shares=shares)
        return excess + jnp.min(jnp.asarray(self.E))


RISING: dict[str, Any] = {"ceiling": 0.8, "B": 0.5, "beta": 0.3}
THREE: dict[str, Any] = {
    **{"A": 20.0, "B": 500.0, "gamma": 0.5, "tau": np.array([0.5, -0.2, 1.0])},
    **{name: np.array([0.2, 0.3, 0.4]) for name in ("E", "alpha", "beta")},
}
BROKEN = [
    (Forgets(**RISING), "rises", "falls with x"),
    (BreaksTheCeiling(**RISING), "ceiling", "above the ceiling"),
    (CostsShares(**THREE), "floor", "below E"),
    (Overflows(**CHINCHILLA), "finite", "not finite"),
    (Averages(**CHINCHILLA), "finite", "shape"),
    (Negative(**CHINCHILLA), "floor", "below E"),
    (Unscaled(**FAMILY), "floor", "below E"),
    (RisesInN(**CHINCHILLA), "falls", "rises with N"),
    (RisesInD(**CHINCHILLA, phi=0.1, psi=-0.04), "falls", "rises with D_target"),
    (SourcesHurt(**ATLAS), "falls", r"rises with D_sources\[0\]"),
    (Rounds(**{**CHINCHILLA, "alpha": 0.3392}), "saving", "loss changes"),
    (Unsaveable(**CHINCHILLA), "saving", "does not survive JSON"),
    (NeverAlone(**ATLAS), "monolingual", "without transfer"),
    (Branches(**CHINCHILLA), "batch", "vmap over laws fails"),
    (NoGradient(**CHINCHILLA), "gradient", "dL/dD differs"),
    (HalfGradient(**CHINCHILLA), "gradient", "dL/dalpha differs"),
    (OnlyNumpy(**CHINCHILLA), "gradient", "grad fails"),
]


@pytest.mark.parametrize(("law", "failed", "why"), BROKEN, ids=[law.name for law, _, _ in BROKEN])
def test_a_broken_law_fails_the_check_made_for_it(law: Law, failed: str, why: str) -> None:
    with pytest.raises(LawCheckError, match=why) as error:
        check_law(law)
    assert error.value.failed == failed
    assert law.name in str(error.value)


def test_vmap_must_agree_with_a_loop() -> None:
    @jax.custom_batching.custom_vmap
    def exponent(alpha: Any) -> Any:
        return alpha

    @exponent.def_vmap
    def tied(axis_size: int, in_batched: Any, alpha: Any) -> Any:
        """Ties what should be one exponent per law."""
        return jnp.full(axis_size, alpha.mean()), in_batched[0]

    class Ties(Chinchilla, name="ties", source="test"):
        def loss(self, N: Any, D: Any) -> Any:
            return self.E + self.A / N ** exponent(self.alpha) + self.B / D**self.beta

    with pytest.raises(LawCheckError, match="differs from a loop") as error:
        check_law(Ties(**CHINCHILLA))
    assert error.value.failed == "batch"


def test_the_point_of_failure_is_shown() -> None:
    with pytest.raises(LawCheckError, match=r"at N = \S+, D = \S+e\+1[0-4]"):
        check_law(Overflows(**CHINCHILLA))


# --- whose laws -------------------------------------------------------------------------------------


class WordErrors(Law, name="word-errors", source="test"):
    """A user's own law: word error rate against hours of speech."""

    E: Value = coefficient("floor", log=False)
    B: Value = coefficient("speech term")
    beta: Value = coefficient("speech exponent", upper=3.0)

    def loss(self, hours: Any) -> Any:  # type: ignore[override]
        return self.E + self.B / hours**self.beta


def test_own_columns_need_a_range() -> None:
    law = WordErrors(E=0.05, B=2.0, beta=0.3)
    check_law(law, columns={"hours": (1.0, 1e5)})
    check_law(replace(law, beta=0.0), columns={"hours": (1.0, 1e5)})
    with pytest.raises(InputError, match="no range known for column 'hours'"):
        check_law(law)


def test_a_range_can_be_narrowed() -> None:
    rises_late = RisesInD(**CHINCHILLA, phi=0.1, psi=-0.04)
    check_law(rises_late, columns={"D_target": (1e6, 0.9e12)})


def test_laws_are_checked_one_at_a_time() -> None:
    law = Chinchilla(**CHINCHILLA)
    with pytest.raises(InputError, match="E must be a scalar"):
        check_law(replace(law, E=np.array([1.0, 2.0])))
    with pytest.raises(InputError, match="tau must be one value per source"):
        check_law(Atlas(**{**ATLAS, "tau": 0.1}))
