"""Laws of multilingual training: ATLAS per target language, the K law, and the family law."""

from __future__ import annotations

from typing import Any

from isogloss.laws.base import Law, Value, coefficient, switch
from isogloss.laws.repetition import saturated
from isogloss.numerics import jnp


class Atlas(Law, name="atlas", source="ATLAS, arXiv:2510.22037, equations 1-3; K^phi from equation 7"):
    """Loss of one target language from its own tokens, its transfer languages' and all others'.

    L = E + A K^phi / N^alpha + B / D_eff^beta
    D_eff = S(D_target) + sum_i tau_i S(D_i) + tau_other S(D_other), S(D; U) the `saturated` tokens.

    phi = 0 is ATLAS as printed; without sources it is ATLAS's monolingual form. K is the number of
    training languages, or exp(entropy of the shares) where they are uneven (`languages`: "effective"; "count"
    counts every language with a positive share).

    Shapes: N, D_target, U_target, D_other, U_other, K, K_other `(...)`; D_sources, U_sources `(..., sources)`.

    `dose` says what transfer is worth beyond the 50/50 pairs in which it is measured. "linear" is the
    equation as printed. "equal" counts no source for more tokens than the target has itself, all others
    for no more than K_other such doses, as many as the languages that they are (counted as K is), and all
    interference for no more than one; up to there it is the same. The linear form gives a
    minority language among others with negative weights negative data, and one with helpful neighbours
    plenty without a token of its own, where 1,000 times a language's own data from ten similar ones was
    measured to be worth a third of it (Chang et al. 2023, arXiv:2311.09205, section 6.1).
    """

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    A: Value = coefficient("parameter term", of_loss=True, scales={"N": "alpha"}, start=(0.02, 0.6))
    alpha: Value = coefficient("parameter exponent", upper=3.0, start=(0.1, 1.2))
    B: Value = coefficient("data term", of_loss=True, scales={"D": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("data exponent", upper=3.0, start=(0.1, 1.2))
    lambda_: Value = coefficient("repetition decay", lower=1e-4, upper=10.0, start=(0.02, 0.5))
    tau: Value = coefficient(
        "transfer weight of each source", lower=-1.0, upper=1.0, log=False, start=(-0.1, 0.3), per="source"
    )
    tau_other: Value = coefficient(
        "transfer weight of all other languages", lower=-1.0, upper=1.0, log=False, start=(-0.1, 0.3)
    )
    phi: Value = coefficient("capacity exponent", upper=1.0, log=False, start=(0.0, 0.3), default=0.0)
    dose: str = switch("linear", ("linear", "equal"))
    languages: str = switch("effective", ("effective", "count"))
    frontier = True

    def effective_tokens(self, own: Any, sources: Any, others: Any, K_other: Any = 1.0) -> Any:
        """D_eff from the saturated tokens of the target, of each source, and of all K_other others together.

        Shapes: own, others, K_other `(...)`; sources `(..., sources)`.
        """
        weights = jnp.asarray(self.tau)
        if self.dose == "linear":
            return own + (weights * sources).sum(-1) + self.tau_other * others
        sources, others = jnp.minimum(sources, jnp.asarray(own)[..., None]), jnp.minimum(others, own * K_other)
        helping = (jnp.maximum(weights, 0) * sources).sum(-1) + jnp.maximum(self.tau_other, 0) * others
        # Sums over the harmful sources of |tau| S and tau^2 S: squares / harm is their mean weight.
        harmful, harmful_other = jnp.minimum(weights, 0), jnp.minimum(self.tau_other, 0)
        harm = -(harmful * sources).sum(-1) - harmful_other * others
        squares = (harmful**2 * sources).sum(-1) + harmful_other**2 * others
        one_dose = own * squares / jnp.where(harm > 0, harm, 1.0)
        return own + helping - jnp.minimum(harm, one_dose)

    def loss_at(self, N: Any, D_eff: Any, K: Any) -> Any:
        return self.E + self.A * K**self.phi / N**self.alpha + self.B / D_eff**self.beta

    def loss(
        self,
        N: Any,
        D_target: Any,
        U_target: Any,
        D_sources: Any,
        U_sources: Any,
        D_other: Any,
        U_other: Any,
        K: Any,
        K_other: Any = 1.0,
    ) -> Any:
        D_eff = self.effective_tokens(
            saturated(D_target, U_target, self.lambda_),
            saturated(D_sources, U_sources, jnp.asarray(self.lambda_)[..., None]),
            saturated(D_other, U_other, self.lambda_),
            K_other,
        )
        # A solver may try weights under which nothing is left: keep the power law finite and steep there.
        return self.loss_at(N, jnp.maximum(D_eff, 1e-9 * (1 + jnp.asarray(D_target))), K)


class KLaw(Law, name="k-law", source="ATLAS, arXiv:2510.22037, equation 7"):
    """L = E + A K^phi / N^alpha + B K^psi / D_target^beta: the cost of K evenly sampled languages.

    D_target is the tokens of one language, so that the run sees K D_target in all. No repetition term.
    K is exp(entropy of the shares), or with `languages` "count" the number of positive shares.
    """

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    A: Value = coefficient("parameter term", of_loss=True, scales={"N": "alpha"}, start=(0.02, 0.6))
    alpha: Value = coefficient("parameter exponent", upper=3.0, start=(0.1, 1.2))
    phi: Value = coefficient("capacity exponent", lower=-1.0, upper=1.0, log=False, start=(0.0, 0.3))
    B: Value = coefficient("data term", of_loss=True, scales={"D": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("data exponent", upper=3.0, start=(0.1, 1.2))
    psi: Value = coefficient("transfer exponent", lower=-1.0, upper=1.0, log=False, start=(-0.2, 0.1))
    languages: str = switch("effective", ("effective", "count"))
    frontier = True

    def loss(self, N: Any, D_target: Any, K: Any) -> Any:
        return self.E + self.A * K**self.phi / N**self.alpha + self.B * K**self.psi / D_target**self.beta


class FamilyLaw(Law, name="family", source="He et al. 2024, arXiv:2410.12883"):
    """L = (E + A/N^alpha + B/D^beta) p^-gamma: loss of a language family sampled with share p.

    N counts parameters without embeddings, D all tokens of the run. Undefined at p = 0.
    """

    E: Value = coefficient("irreducible loss", log=False, of_loss=True, start=(0.1, 0.9))
    A: Value = coefficient("parameter term", of_loss=True, scales={"N": "alpha"}, start=(0.02, 0.6))
    alpha: Value = coefficient("parameter exponent", upper=3.0, start=(0.1, 1.2))
    B: Value = coefficient("data term", of_loss=True, scales={"D": "beta"}, start=(0.02, 0.6))
    beta: Value = coefficient("data exponent", upper=3.0, start=(0.1, 1.2))
    gamma: Value = coefficient("sampling exponent", upper=2.0, log=False, start=(0.02, 0.4))
    frontier = True

    def loss(self, N: Any, D: Any, p: Any) -> Any:
        return (self.E + self.A / N**self.alpha + self.B / D**self.beta) * p**-self.gamma

    def least(self, **columns: Any) -> Any:
        return self.E * columns["p"] ** -self.gamma
