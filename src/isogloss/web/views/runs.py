"""Runs: your own table, checked, fitted and compared. It is parsed in memory and kept nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import streamlit as st

from isogloss.errors import InputError
from isogloss.report import section
from isogloss.report.runs_page import runs_cards
from isogloss.web import served, show
from isogloss.web.downloads import csv_of, file_name
from isogloss.web.links import Reader
from isogloss.web.settings import settings
from isogloss.web.state import keep, open_page
from isogloss.web.tables import LAWS, NEEDED, UNITS, Table, guessed, of_folder
from isogloss.web.uploads import read_table

NONE, UPLOAD = "", "your upload"
AS_FOUND, UNSAID = "as found", "as the table says"
STEPS = {"check": "Check", "fit": "Fit a law", "compare": "Compare laws"}
MOST_LAWS = 4


def read(link: Reader) -> dict[str, Any]:
    """The page's widgets as a link has them: what was uploaded is in no link."""
    known = [entry.name for entry in served.of_kind("runs", "study")]
    return {
        "runs table": link.one_of("table", [NONE, *known], NONE),
        "runs step": link.one_of("step", list(STEPS), "check"),
        "runs law": link.one_of("law", list(LAWS), "chinchilla"),
        "runs laws": link.some_of("laws", LAWS, ("chinchilla", "data-constrained", "kaplan"), MOST_LAWS),
        "runs target": (link.text("target") or "")[:100],
    }


def page() -> None:
    said_of_link = open_page("runs", read)
    show.title(
        "Runs", "Your own training runs: what is wrong with them, which law describes them, how far to trust it."
    )
    with st.sidebar:
        chosen = _source()
    show.notes(said_of_link)
    _keep()
    if chosen is None:
        _explain()
        return
    with show.telling():
        table = _mapped(chosen)
        step = st.session_state["runs step"]
        if step == "check":
            with st.spinner("Reading"):
                found = table.overview()
            show.before_use(found.notes)
            cards = runs_cards(found)
            show.cards([*[c for c in cards if c.id == "lint"], *[c for c in cards if c.id != "lint"]], "check")
        else:
            _fitted(table, step)


def _source() -> Table | None:
    memory = st.session_state
    own = [entry.name for entry in served.of_kind("runs", "study")]
    limits = settings().limits
    file = st.file_uploader(
        "Upload a table of runs",
        type=["csv", "tsv", "parquet", "jsonl"],
        key="runs file",
        help=f"Up to {limits.megabytes} MB, {limits.rows:,} rows and {limits.columns:,} columns. It stays in memory.",
    )
    if own:
        st.selectbox("Or one of yours", [NONE, *own], key="runs table", format_func=lambda n: n or "choose a table")
    st.radio("Then", list(STEPS), key="runs step", format_func=STEPS.__getitem__)
    name = memory.get("runs table", NONE)
    if file is not None:
        with show.telling():
            return Table(file.name, read_table(file.name, file.getvalue(), limits))
        return None
    if name:
        with show.telling():
            return of_folder(name)
    return None


def _mapped(table: Table) -> Table:
    """With what the user says of its columns and unit."""
    if isinstance(table.raw, Path):
        return table
    raw: pl.DataFrame = table.raw
    guess = guessed(raw.columns)
    told: dict[str, str] = {}
    with st.expander("Columns: which is which"):
        columns = st.columns(3)
        for number, (key, words) in enumerate(NEEDED.items()):
            found = guess.get(key)
            first = f"{AS_FOUND}: {found}" if found else AS_FOUND
            with columns[number % 3]:
                said = st.selectbox(
                    words[0].upper() + words[1:],
                    [first, *raw.columns],
                    key=f"runs column {table.name} {key}",
                )
            if said != first:
                told[key] = said
        with columns[2]:
            unit = st.selectbox("Unit of the loss", [UNSAID, *UNITS], key=f"runs unit {table.name}")
    return Table(table.name, raw, tuple(told.items()), None if unit == UNSAID else unit)


def _fitted(table: Table, step: str) -> None:
    memory = st.session_state
    runs = table.runs()
    targets = list(runs.targets)
    several = len(targets) > 1
    if memory["runs target"] not in targets:
        memory["runs target"] = targets[0] if targets else ""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if step == "fit":
            law = st.selectbox("Law", list(LAWS), key="runs law", format_func=LAWS.__getitem__)
            laws = [law]
        else:
            laws = st.multiselect(
                "Laws", list(LAWS), key="runs laws", max_selections=MOST_LAWS, format_func=LAWS.__getitem__
            )
        target = st.selectbox("Target", targets, key="runs target") if several else None
        go = st.button("Fit" if step == "fit" else "Compare", type="primary")
    _keep()
    asked = (table.name, table.columns, table.unit, step, tuple(laws), target)
    if go:
        memory["runs answer"] = None
        limit = settings().limits.fit_rows
        with st.spinner("Fitting" if step == "fit" else "Fitting each law to a part and scoring it on the rest"):
            if step == "compare" and len(laws) < 2:
                raise InputError("one law has nothing to be compared with", hint="Choose two or more.")
            answer = table.fit(laws[0], target, limit) if step == "fit" else table.compare(laws, target, limit)
        memory["runs answer"] = (asked, answer)
    held = memory.get("runs answer")
    if held is None or held[0] != asked:
        st.info(f"{len(runs):,} rows of {len(targets) or 1} target{'s' * (len(targets) > 1)}, loss in {runs.unit}.")
        return
    found = section(held[1])
    _downloads(held[1], step)
    show.before_use([*found.warnings, *table.findings()])
    show.cards(found.cards, step)


def _downloads(answer: Any, step: str) -> None:
    if step == "fit":
        frame = pl.DataFrame(
            [{"coefficient": e.name, "value": e.value, "low": e.low, "high": e.high} for e in answer.coefficients],
            infer_schema_length=None,
        )
        rows, name = answer.rows, "fit"
    else:
        frame, rows, name = answer.scores, answer.predictions, "comparison"
    with st.container(horizontal=True):
        for label, what in ((f"{name.capitalize()} (CSV)", frame), ("Rows and predictions (CSV)", rows)):
            st.download_button(
                label,
                lambda what=what: csv_of(what),
                file_name(label.removesuffix("(CSV)"), ".csv"),
                "text/csv",
                key=f"{step} {label}",
                on_click="ignore",
            )


def _explain() -> None:
    st.html(
        '<p class="iso-answer">Upload a CSV, Parquet or JSONL file with one row per run: parameters, tokens, loss.</p>'
        '<p class="iso-lead">Columns are found under their usual names (N, tokens, val_loss, share:est ...). The '
        "file is parsed in memory on this server, and forgotten when you leave.</p>"
    )
    st.download_button("An example (CSV)", example, "runs.csv", "text/csv", on_click="ignore")


def example() -> bytes:
    """Thirty-six runs of a law with a little noise: made up, to try the page with."""
    import numpy as np

    N, D = (a.ravel() for a in np.meshgrid(np.geomspace(1e8, 1e10, 6), np.geomspace(2e9, 4e11, 6)))
    noise = np.random.default_rng(0).normal(0, 0.002, N.shape)
    loss = (1.7 + 400 / N**0.34 + 2000 / D**0.37) * np.exp(noise)
    names = [f"made-up-{i}" for i in range(len(N))]
    return csv_of(pl.DataFrame({"run_id": names, "N": N.round(), "D": D.round(), "loss": loss.round(5)}))


def _keep() -> None:
    memory = st.session_state
    kept: dict[str, Any] = memory["kept runs"]
    names = ("table", "step", "law", "laws", "target")
    values = {f"runs {n}": memory.get(f"runs {n}", kept.get(f"runs {n}")) for n in names}
    link = {
        "table": values["runs table"],
        "step": values["runs step"] if values["runs step"] != "check" else None,
        "law": values["runs law"] if values["runs step"] == "fit" else None,
        "laws": ",".join(values["runs laws"]) if values["runs step"] == "compare" else None,
        "target": values["runs target"],
    }
    keep("runs", values, link)
