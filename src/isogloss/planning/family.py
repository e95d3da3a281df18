"""What a plan rests on where every language has a fit of the family law (He et al. 2024, arXiv:2410.12883)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isogloss.errors import InputError
from isogloss.laws import FamilyLaw
from isogloss.planning.evidence import Ground, ground
from isogloss.planning.family_laws import FAMILY_NAMES
from isogloss.planning.kinds import Evidence, some
from isogloss.planning.known_laws import FAMILY, KnownLaws, one_unit, sizes_behind
from isogloss.planning.question import Question, refuse_corpora, refuse_phases

if TYPE_CHECKING:
    from isogloss.fitting import Fit

SAID = (
    "the laws are family laws: a language's loss follows from its share of the mixture and all tokens together. They "
    "hold no repetition and no transfer between named languages, so that neither text nor kin pulls the mixture; only "
    "epoch caps and other limits hold it."
)


def ground_of(asked: Question) -> Ground:
    """`evidence.ground`, or that of family laws where every language has a fit of one.

    Raises InputError for what either cannot use.
    """
    if not all(need.fit is not None for need in asked.languages.values()):
        return ground(asked)
    from isogloss.fitting import load_fit

    fits = {code: load_fit(Path(need.fit or "")) for code, need in asked.languages.items()}
    if not all(fit.law.name == FAMILY for fit in fits.values()):
        return ground(asked)
    _refuse(asked, fits)
    return _ground(asked, fits)


def _ground(asked: Question, fits: dict[str, Fit]) -> Ground:
    plain = {code: need.model_copy(update={"fit": None}) for code, need in asked.languages.items()}
    without = asked.assumptions.model_copy(update={"transfer": "none", "capacity": "none"})
    bare = ground(asked.model_copy(update={"languages": plain, "assumptions": without}))
    laws = _known(asked, fits)
    law: Any = FamilyLaw(**{name: laws.values[:, i] for i, name in enumerate(FAMILY_NAMES)})
    transfer = [
        Evidence(e.quantity, "measured", "no weights: what other languages do to it is in gamma of its law")
        for e in bare.transfer.evidence
    ]
    return replace(
        bare,
        law=law,
        evidence=(
            *(e for e in bare.evidence if e.quantity.split(".")[0] not in ("law", "transfer", *COMMON)),
            *laws.evidence,
            *transfer,
            *(Evidence(quantity, *said) for quantity, said in COMMON.items()),
        ),
        warnings=(SAID, *(w for w in bare.warnings if w not in (*bare.laws.warnings, *bare.transfer.warnings))),
        own_law=tuple(fits),
        N_range=laws.N_range,
        loss_unit=laws.unit,
        laws=laws,
        transfer=replace(bare.transfer, evidence=tuple(transfer)),
        by_shares=True,
    )


COMMON: dict[str, tuple[Any, str]] = {
    "repetition": ("assumed", "the family law takes repeated text for new text"),
    "capacity": ("measured", "what many languages cost is in gamma of each law"),
}


def _known(asked: Question, fits: dict[str, Fit]) -> KnownLaws:
    values, sources, evidence, drawless = [], [], [], []
    for code, fit in fits.items():
        at = [[e.name for e in fit.coefficients].index(name) for name in FAMILY_NAMES]
        value, drawn = fit.values[at], len(fit.draws) > 0
        values.append(value)
        sources.append(np.asarray(fit.draws)[:, at] if drawn else value[None])
        told = f"{len(fit.draws):,} draws ({fit.intervals})" if drawn else "without draws: no interval"
        drawless += [] if drawn else [code]
        where = asked.languages[code].fit
        evidence.append(Evidence(f"law.{code}", "measured", f"family law (He et al. 2024), fit in {where}, {told}"))
    with_draws = [code for code in fits if code not in drawless]
    return KnownLaws(
        values=np.array(values, float),
        sources=tuple(sources),
        groups=tuple(str(asked.languages[code].fit) for code in fits),
        evidence=tuple(evidence),
        warnings=(),
        varies=(f"laws of {some(with_draws)}: draws of their fits",) if with_draws else (),
        lacks=(f"laws of {some(drawless)}: their fits were made without draws",) if drawless else (),
        unit=next(iter(fits.values())).unit,
        N_range=sizes_behind(list(fits.values())),
        names=FAMILY_NAMES,
    )


def _refuse(asked: Question, fits: dict[str, Fit]) -> None:
    refuse_corpora(asked, "a plan by family laws is")
    refuse_phases(asked, "a plan by family laws is")
    one_unit({code: fit.unit for code, fit in fits.items()})
    if asked.budget.target is not None:
        raise InputError(
            "the family law knows no language alone to take a target from",
            where="budget.target",
            hint="Give the budget in FLOPs, hours or money, or as budget.loss.",
        )
    if asked.start is not None:
        raise InputError(
            "the family law has no tokens of one language to compare a checkpoint with",
            where="start",
            hint="Leave it out: `isogloss crossover` compares starts without a plan.",
        )
    if asked.objective.measure == "normalised":
        raise InputError(
            "the family law does not say what a language reaches alone with its own text",
            where="objective.measure",
            hint='Say measure = "loss".',
        )
