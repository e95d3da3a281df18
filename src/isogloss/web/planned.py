"""A plan of the Plan page: made, shown, and given away."""

from __future__ import annotations

import tomllib
from functools import lru_cache

import streamlit as st

from isogloss.planning import Plan, plan
from isogloss.report.plan_rows import central
from isogloss.report.plans import plan_cards
from isogloss.report.render import to_html
from isogloss.report.words import about, flops, loss, quantity
from isogloss.web import show
from isogloss.web.downloads import csv_of, file_name


@lru_cache(maxsize=64)
def planned(text: str, draws: int) -> Plan:
    """The plan of a question file's text."""
    return plan(tomllib.loads(text), draws=draws)


def show_plan(found: Plan, text: str, *, waiting: bool) -> None:
    """The answer, its figures, and what can be taken away. `waiting`: intervals are still to come."""
    first, *others = plan_cards(found)
    show.answer(first.sentence, headline(found, waiting=waiting))
    key = "plan-wait" if waiting else "plan"
    _downloads(found, text, key)
    show.before_use(found.warnings)
    order = ["mixture", "losses", "size", "alternatives"]
    main = [c for name in order for c in others if c.id == name]
    rest = [first, *(c for c in others if c not in main)]
    show.cards(main, key, rest=rest, rest_title="The answer in words, evidence for every number, what would change it")


def headline(found: Plan, *, waiting: bool = False) -> list[tuple[str, str, str]]:
    """The plan's numbers, each with its interval where there are draws."""
    unsure = found.uncertainty
    later = "interval follows" if waiting else f"evidence: {found.kind_of('N')}"
    spans = {"N": later, "D": later, "loss": later}
    if unsure is not None:
        words = f"in {central(unsure.level)} of draws"
        N, D, objective = (unsure.interval(v) for v in (unsure.N, unsure.D, unsure.objective))
        spans = {
            "N": f"{quantity(N.low)} to {quantity(N.high)} {words}",
            "D": f"{quantity(D.low)} to {quantity(D.high)} {words}",
            # A law without an interval is the same in all draws: that is no certainty.
            "loss": f"{loss(objective.low)} to {loss(objective.high)} {words}"
            if loss(objective.low) != loss(objective.high)
            else "no interval: its laws have none",
        }
    aim = found.criterion.short
    return [
        ("Parameters N", about(found.N), spans["N"]),
        ("Training tokens D", quantity(found.D), spans["D"]),
        (f"{aim[0].upper()}{aim[1:]}", loss(found.objective), spans["loss"]),
        ("Compute C, FLOPs", flops(found.C), f"{found.D / found.N:.3g} tokens per parameter"),
    ]


def _downloads(found: Plan, text: str, key: str) -> None:
    name = found.title or "plan"
    with st.container(horizontal=True):
        st.download_button(
            "question.toml", text, file_name(name, ".toml"), "application/toml", key=f"{key}-toml", on_click="ignore"
        )
        summary = found.summary()
        st.download_button(
            "Plan (CSV)",
            lambda: csv_of(summary),
            file_name(name, ".csv"),
            "text/csv",
            key=f"{key}-csv",
            on_click="ignore",
        )
        st.download_button(
            "Page (HTML)",
            lambda: html_of(found),
            file_name(name, ".html"),
            "text/html",
            key=f"{key}-html",
            on_click="ignore",
        )


def html_of(found: Plan) -> str:
    """The cards as a page of the report's."""
    subtitle = f"{len(found.languages)} languages, {flops(found.C)} training FLOPs"
    return to_html(found.title or "Plan", subtitle, plan_cards(found), found.warnings)
