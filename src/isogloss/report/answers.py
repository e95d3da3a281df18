"""The cards of any answer: of a fit, a plan, a matrix, as its verb shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from isogloss.errors import InputError
from isogloss.report.card import Card, Section
from isogloss.report.words import count, flops, listed, quantity, with_names

# As a fit of several languages says it.
NOT_FITTED = " is not fitted: "


def cards(answer: Any) -> list[Card]:
    """An answer as cards: `Fit`, `Plan`, `Comparison`, `TransferMatrix` ... InputError for what has none."""
    return list(section(answer).cards)


def section(answer: Any) -> Section:
    """An answer as cards with its title and warnings. A section is returned as it is; cards become one."""
    if isinstance(answer, Section):
        return answer
    if isinstance(answer, Card):
        return Section(answer.title, "", [answer])
    if isinstance(answer, list | tuple) and answer and all(isinstance(card, Card) for card in answer):
        return Section("Report", "", list(answer))
    # By name: an answer's class is loaded already, and the others need not be.
    for kind in type(answer).__mro__:
        if kind.__module__.startswith("isogloss.") and kind.__name__ in _MAKERS:
            made = _MAKERS[kind.__name__](answer)
            return replace(made, warnings=tuple(map(with_names, made.warnings)))
    raise InputError(
        f"a {type(answer).__name__} has no cards", where="report", hint=f"These have: {', '.join(sorted(_MAKERS))}."
    )


def page_of(answer: Any) -> str:
    """An answer's cards as one HTML page."""
    from isogloss.report.render import page

    shown = section(answer)
    return page(shown.title, [shown])


def languages_warnings(fits: Any) -> list[str]:
    """What several languages' fits say is said once, and of whom."""
    said = [(warning, language) for language, fit in fits.fits.items() for warning in fit.warnings]
    times = Counter(warning for warning, _ in said)
    return [
        warning
        if 1 < times[warning] == len(fits)
        else f"{', '.join(language for other, language in said if other == warning)}: {warning}"
        for warning in times
    ]


def _together(warnings: Sequence[str]) -> list[str]:
    """Languages that are not fitted for one reason, once."""
    said: dict[str, list[str]] = {}
    for warning in warnings:
        who, is_that, why = warning.partition(NOT_FITTED)
        said.setdefault(why if is_that else "", []).append(who if is_that else warning)
    alone = said.pop("", [])
    grouped = [
        f"{who[0]}{NOT_FITTED}{why}" if len(who) == 1 else f"{len(who)} languages are not fitted ({listed(who)}): {why}"
        for why, who in said.items()
    ]
    return [*grouped, *alone]


def _fit(fit: Any) -> Section:
    from isogloss.report.fits import fit_cards

    subtitle = f"{fit.rows.height} rows of {fit.source}, loss in {fit.unit}"
    return Section(f"{fit.law.name} law", subtitle, fit_cards(fit), fit.warnings)


def _language_fits(fits: Any) -> Section:
    from isogloss.report.fit_languages import languages_cards

    first = next(iter(fits.fits.values()))
    subtitle = f"{len(fits)} languages of {first.source}, loss in {first.unit}, {fits.across}"
    return Section(
        f"{first.law.name} law",
        subtitle,
        languages_cards(fits),
        (*_together(fits.warnings), *languages_warnings(fits)),
    )


def _plan(plan: Any) -> Section:
    from isogloss.report.plans import plan_cards

    subtitle = f"{len(plan.languages)} languages, {flops(plan.C)} training FLOPs"
    return Section(plan.title or "Plan", subtitle, plan_cards(plan), plan.warnings)


def _given(given: Any) -> Section:
    from isogloss.report.plan_given import given_cards

    title, best = given.best.title, given.best
    subtitle = f"Your plan: {quantity(given.N)} parameters on {quantity(given.D)} tokens, {flops(given.C)} FLOPs"
    name = f"{title}: your plan" if title else "Your plan"
    return Section(name, subtitle, given_cards(given), (*given.notes, *best.warnings))


def _beside(beside: Any) -> Section:
    from isogloss.report.plan_beside import beside_cards, notes_of_each

    titles = list(dict.fromkeys(plan.title for plan in beside.plans if plan.title))
    subtitle = listed(titles) if titles else "Two plans"
    notes = (*beside.notes, *notes_of_each(beside))
    return Section(" and ".join(beside.names), subtitle, beside_cards(beside), notes)


def _comparison(compared: Any) -> Section:
    from isogloss.report.comparisons import comparison_cards

    subtitle = f"{compared.rows} rows of {compared.source}, loss in {compared.unit}, languages {compared.across}"
    return Section("Laws compared on held-out runs", subtitle, comparison_cards(compared), compared.warnings)


def matrix_section(matrix: Any, source: str = "a matrix", *, quick: bool = False) -> Section:
    """`quick`: what needs no test and no model of the scores."""
    from isogloss.report.transfer_pages import matrix_cards, scores_cards
    from isogloss.transfer.source import PUBLISHED

    where = "ATLAS's published matrix" if source == PUBLISHED else source
    subtitle = f"{where}: {int(matrix.present().sum()):,} scores among {len(matrix.languages)} languages"
    made = scores_cards(matrix) if quick else matrix_cards(matrix, source=source)
    return Section("Transfer between languages", subtitle, made)


def _measured(measured: Any) -> Section:
    from isogloss.report.transfer_pages import measured_page

    subtitle = f"{len(measured.pairs)} scores from {measured.source}, loss in {measured.unit}"
    return Section("Transfer, measured", subtitle, measured_page(measured), measured.notes)


def _fitted(fitted: Any) -> Section:
    from isogloss.report.transfer_pages import fitted_cards

    return Section("Transfer, fitted", f"{len(fitted)} weights", fitted_cards(fitted), fitted.notes)


def _prediction(found: Any) -> Section:
    from isogloss.report.transfer_rows import shown_prediction
    from isogloss.report.transfers import heatmap_card, helpers_card, sources_card
    from isogloss.transfer.order import language_order

    shown = shown_prediction(found, language_order(found.matrix()))
    drawn = [heatmap_card(shown, origin="Predicted"), helpers_card(shown), sources_card(shown)]
    subtitle = f"{len(found.languages)} languages, {found.level:.0%} intervals"
    return Section("Transfer, predicted", subtitle, drawn, found.notes)


def _expansion(answer: Any) -> Section:
    from isogloss.report.expansion_factors import factors_card

    subtitle = f"{answer.r:g} times as many languages at equal {answer.at}, by the K law"
    return Section("What more languages cost", subtitle, [factors_card(answer)], answer.warnings)


def _full_expansion(answer: Any) -> Section:
    from isogloss.report.expansions import expansion_cards

    return Section(answer.title or "Expansion", "What more languages cost", expansion_cards(answer), answer.warnings)


def _marginal(answer: Any) -> Section:
    from isogloss.report.expansions import marginal_cards

    return Section(answer.title or "Candidates", "What more languages cost", marginal_cards(answer), answer.warnings)


def _crossover(answer: Any) -> Section:
    from isogloss.report.crossovers import crossover_cards, crossover_title

    return Section(*crossover_title(answer), crossover_cards(answer), answer.warnings)


def _design(answer: Any) -> Section:
    from isogloss.report.designs import design_cards

    subtitle = f"{answer.count} small runs for {flops(answer.flops)} FLOPs, before {flops(answer.plan.C)} are spent"
    return Section(answer.title or "Design", subtitle, design_cards(answer), answer.warnings)


def _overview(found: Any) -> Section:
    from isogloss.report.runs_page import runs_cards

    numbers = found.to_dict()
    subtitle = f"{found.source}: {count(numbers['runs']['count'], 'run')}, loss in {found.unit}"
    return Section("Runs", subtitle, runs_cards(found, numbers), found.notes)


_MAKERS: Mapping[str, Callable[[Any], Section]] = {
    "Fit": _fit,
    "LanguageFits": _language_fits,
    "Plan": _plan,
    "GivenPlan": _given,
    "Beside": _beside,
    "Comparison": _comparison,
    "TransferMatrix": matrix_section,
    "MeasuredTransfer": _measured,
    "FittedTransfer": _fitted,
    "Prediction": _prediction,
    "Expansion": _expansion,
    "FullExpansion": _full_expansion,
    "Marginal": _marginal,
    "Crossover": _crossover,
    "Design": _design,
    "Overview": _overview,
}
