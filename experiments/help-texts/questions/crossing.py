"""From scratch, or from the model of all languages: where the one overtakes the other."""

from __future__ import annotations

from math import log
from typing import Any

import polars as pl

from isogloss import crossover, read_runs
from isogloss.errors import FitError, InputError
from isogloss.report import save
from questions.tables import Tables, plenty

LANGUAGES = ("eng_Latn", "por_Latn", "ekk_Latn", "cmn_Hani", "khm_Khmr")
SIZES = (381_600, 1_039_744)


def answer(tables: Tables) -> dict[str, Any]:
    # Each size goes on from the model of all languages of its own size: one law of both sizes, as ATLAS's.
    once = pl.when(pl.col("init").is_not_null()).then(pl.lit("all-languages"))
    whole = plenty(tables.continued)
    table = read_runs(whole.frame.with_columns(init=once).drop("row"), unit=str(whole.unit))
    out: list[dict[str, Any]] = []
    for language in LANGUAGES:
        for size in SIZES:
            asked = {"language": language, "N": size}
            try:
                found = crossover(language, params=size, runs=table)
            except (InputError, FitError) as error:
                out.append({**asked, "C": None, "tokens": None, "answer": str(error)})
                continue
            save(found, tables.out / f"crossing-{language}-{size}.html")
            out.append({**asked, **found.to_dict()["crossing"], "answer": found.recommendation})
    return {"ways": out, "exponents": exponents(out)}


def exponents(ways: list[dict[str, Any]]) -> dict[str, float]:
    """p of C = c N^p through a language's two sizes."""
    by_language: dict[str, list[tuple[float, float]]] = {}
    for one in ways:
        if one["C"]:
            by_language.setdefault(one["language"], []).append((one["N"], one["C"]))
    two = {language: sorted(points) for language, points in by_language.items() if len(points) == len(SIZES)}
    return {code: log(last[1] / first[1]) / log(last[0] / first[0]) for code, (first, last) in two.items()}
