"""What can be compared on a table: which laws, on which of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import InputError, unknown_name
from isogloss.fitting.held_out import Setting, Sources, sources_for
from isogloss.fitting.own_law import check_objective
from isogloss.fitting.rows import rows_for
from isogloss.laws.base import Law
from isogloss.laws.forms import Form, as_form, forms
from isogloss.runs import RunTable, read_runs
from isogloss.runs.names import canonical_name

# Columns that say nothing where every run is of one language.
OF_MIXTURES = frozenset(("p", "K", "shares"))
# The target of a table that names none.
UNNAMED = "all"


def prepared(runs: RunTable | Any, targets: Sequence[str] | None) -> RunTable:
    """The table of these targets; losses of one unnamed thing get a target of no language."""
    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    if not table.targets:
        return replace(table, frame=table.frame.with_columns(target=pl.lit(UNNAMED)))
    if targets:
        wanted = [table.for_target(t).targets[0] for t in targets]
        table = replace(table, frame=table.frame.filter(pl.col("target").is_in(wanted)))
    return table


def named_sources(sources: Sources, table: RunTable) -> Sources:
    """Sources under the names of the table's mixtures; what is in no mixture is an error, not a law left out."""
    if sources is None:
        return None
    if isinstance(sources, Mapping):
        return {
            _known(t, table.targets, "target"): [_known(s, table.languages, "source") for s in mine]
            for t, mine in sources.items()
        }
    return [_known(s, table.languages, "source") for s in sources]


def _known(name: str, names: Sequence[str], what: str) -> str:
    found = name if name in names else canonical_name(name)
    if found not in names:
        raise unknown_name(what, name, names, where="sources")
    return found


def forms_of(laws: Sequence[Form | type[Law] | str] | None) -> list[Form]:
    """Laws as forms, each once; every law there is for None."""
    if laws is not None and not laws:
        raise InputError("no law to compare", hint="Name some, such as chinchilla and atlas.")
    found = [as_form(law) for law in (forms() if laws is None else laws)]
    return list({form.name: form for form in found}.values())


def usable_rows(
    chosen: Sequence[Form], table: RunTable, setting: Setting
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """By law the rows `(rows,)` that it has values for; and why other laws are left out."""
    usable, out = {}, {}
    mixed = _mixed(table)
    # Rows are renumbered, so that a law's rows say where in the table they are.
    numbered = replace(table, frame=table.frame.with_columns(row=pl.Series(np.arange(len(table)))))
    for form in chosen:
        if not mixed and _needs_mixtures(form):
            out[form.name] = "no run is of several languages, without which it says no more than a simpler law"
            continue
        rows, why = _rows_of(form, numbered, setting)
        if why:
            out[form.name] = why
        else:
            usable[form.name] = rows
    return usable, out


def _mixed(table: RunTable) -> bool:
    names, shares = table.shares()
    return bool(names) and bool(((shares > 0) & (shares < 1 - 1e-9)).any())


def _needs_mixtures(form: Form) -> bool:
    if "D_other" in form.law.columns:
        return not (form.sources == () and form.fix.get("tau_other") == 0)
    return bool(OF_MIXTURES & set(form.law.columns))


def _rows_of(form: Form, table: RunTable, setting: Setting) -> tuple[np.ndarray, str]:
    usable = np.zeros(len(table), bool)
    reasons = []
    if form.law.of_target and table.targets == (UNNAMED,):
        return usable, "it is of one target language, and there is no target column"
    for target in table.targets:
        try:
            one = table.for_target(target)
            check_objective(form.law, setting.objective, one.frame["loss"].to_numpy(), table.source)
            rows = rows_for(
                form.law,
                one,
                params=setting.params,
                sources=sources_for(form, setting.sources, target),
                switches=form.switches,
                columns={k: v for k, v in setting.columns.items() if k in form.law.columns},
            )
            usable[rows.number] = True
        except InputError as error:
            reasons.append(error.what)
    return usable, "" if usable.any() else reasons[0]


def common_rows(table: RunTable, usable: Mapping[str, np.ndarray]) -> tuple[RunTable, dict[str, int]]:
    """The rows that every law has values for, since laws are compared on the same; how many others, by reason."""
    common, some = np.all(list(usable.values()), axis=0), np.any(list(usable.values()), axis=0)
    out: dict[str, int] = dict(Counter(item.reason for item in table.left_out))
    if not some.all():
        out["no law has all its values, or the run saw none of its target"] = int((~some).sum())
    if (some & ~common).any():
        least = min(usable, key=lambda name: int(usable[name].sum()))
        out[f"not every law has its values ({least} has fewest)"] = int((some & ~common).sum())
    if not common.any():
        raise InputError("there is no row that all laws have values for", where=table.source, hint="Name fewer laws.")
    return replace(table, frame=table.frame.filter(pl.Series(common))), out
