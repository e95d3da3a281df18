"""The same models on text of other kinds: does what helps within the help help elsewhere?"""

from __future__ import annotations

from statistics import median
from typing import Any

import polars as pl

from isogloss import RunTable, languages, read_runs
from isogloss.errors import InputError
from questions.tables import Tables, plenty, published, scratch, seen, shares_of

# The size at which every language has a model of its own; what such a model and one of all fourteen have seen of it.
SIZE, OWN, SHARED = 332_448, 0.5e6, 8e6


def answer(tables: Tables) -> dict[str, Any]:
    prose = _models(scratch(seen(read_runs(published("prose")))))
    rows = _prose(_models(tables.main), prose)
    lost = [row["prose"]["all"] - row["prose"]["alone"] for row in rows]
    return {
        "prose": rows,
        "better_inside": sum(row["help"]["all"] < row["help"]["alone"] for row in rows),
        "worse": sum(loss > 0 for loss in lost),
        "better": sum(loss < 0 for loss in lost),
        "declaration": _declaration(read_runs(published("declaration")).frame, tables.main.languages),
    }


def _models(table: RunTable) -> pl.DataFrame:
    """Losses of models of one language (K = 1) and of all (K = 14), means over seeds."""
    table = plenty(table)
    frame = table.frame.with_columns(K=pl.Series([len(one) for one in shares_of(table)]))
    frame = frame.filter(pl.col("params_non_embedding") == SIZE, pl.col("K").is_in((1, 14)))
    # Budgets are whole steps: 499,712 tokens are half a million.
    rounded = (pl.col("tokens") / 5e5).round() * 5e5
    return frame.group_by("target", "K", tokens=rounded).agg(pl.col("loss").mean())


def _prose(inside: pl.DataFrame, outside: pl.DataFrame) -> list[dict[str, Any]]:
    """Of each language with prose: alone with as much of it as the model of all has seen, alone at best, and of all."""
    rows = []
    for target in sorted(outside["target"].unique()):
        row: dict[str, Any] = {"target": target}
        for name, models in (("help", inside), ("prose", outside)):
            own = models.filter(pl.col("target") == target)
            alone = own.filter(pl.col("K") == 1)
            row[name] = {
                "alone": _loss(alone.filter(pl.col("tokens") == OWN)),
                "best": alone["loss"].min(),
                "all": _loss(own.filter(pl.col("K") == 14, pl.col("tokens") == SHARED)),
            }
        rows.append(row)
    return rows


def _loss(rows: pl.DataFrame) -> float | None:
    return float(rows["loss"].item()) if rows.height == 1 else None


def _declaration(frame: pl.DataFrame, trained: tuple[str, ...]) -> dict[str, Any]:
    """Bits per byte of the largest model of all, by what its languages have in common with the one that is read."""
    families = {languages.get(code).family for code in trained} - {None}
    scripts = {code[-4:] for code in trained}
    groups: dict[str, list[float]] = {}
    for target, loss in frame.select("target", "loss").iter_rows():
        groups.setdefault(_group(target, trained, families, scripts), []).append(loss)
    return {
        "languages": frame["target"].n_unique(),
        "N": frame["params_non_embedding"][0],
        "tokens": frame["tokens"][0],
        "groups": {name: {"languages": len(v), "median": median(v)} for name, v in sorted(groups.items())},
    }


def _group(target: str, trained: tuple[str, ...], families: set[str | None], scripts: set[str]) -> str:
    if target in trained:
        return "trained on"
    if target[-4:] != "Latn":
        return "another script" if target[-4:] not in scripts else "a script trained on, not Latin"
    try:
        family = languages.get(target).family
    except InputError:  # a private name of the package's, as man.jsonl.gz
        family = None
    return "Latin script, a family trained on" if family in families else "Latin script, another family"
