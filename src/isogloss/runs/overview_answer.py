"""An overview in numbers: what its JSON says, and what pages and tables are made of."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from isogloss.runs.enough import LAWS, SAME, levels

if TYPE_CHECKING:
    from isogloss.runs.lint import Finding
    from isogloss.runs.overview import Overview

SCHEMA = 1


def answer(found: Overview) -> dict[str, Any]:
    """Documented in docs/json.md."""
    return {
        "schema": SCHEMA,
        "source": found.source,
        "unit": found.unit,
        "params": found.params or None,
        "runs": {
            "count": found.runs.height,
            "read": int(found.runs["read"].sum()),
            "by_status": statuses(found),
            "rows": found.rows,
            "points": int(found.runs["points"].sum()),
            "unusable_points": found.unusable,
            "N": _range(found.runs["N"]),
            "D": _range(found.runs["D"]),
        },
        "sizes": sizes(found),
        "languages": languages(found),
        "mixtures": mixtures(found),
        "laws": laws(found),
        "lint": {
            "errors": sum(f.severity == "error" for f in found.findings),
            "findings": [_finding(f) for f in found.findings],
        },
        "warnings": list(found.notes),
    }


def statuses(found: Overview) -> dict[str, int]:
    """Runs by status, the most first; "" where the table says none."""
    counts = found.runs["status"].value_counts(sort=True)
    return dict(sorted(counts.iter_rows(), key=lambda item: (-item[1], item[0])))


def sizes(found: Overview) -> list[dict[str, Any]]:
    """Sizes from the smallest up, those within 10 % being one: N of the smallest of them, runs, token counts of models
    that a fit reads."""
    runs = found.runs.filter(pl.col("N") > 0).sort("N")
    out: list[dict[str, Any]] = []
    while runs.height:
        first = float(runs["N"][0])
        group, runs = runs.filter(pl.col("N") <= first * SAME), runs.filter(pl.col("N") > first * SAME)
        models = found.models.filter((pl.col("N") >= first) & (pl.col("N") <= first * SAME))
        tokens = models["D"].drop_nulls().to_numpy()
        out.append(
            {"N": first, "runs": group.height, "token_counts": levels(tokens), "D": _range(group["D"])},
        )
    return out


def languages(found: Overview) -> list[dict[str, Any]]:
    """By language that is trained on or evaluated, those of most runs first."""
    trained = {str(frame["language"][0]): frame for frame in found.shares.partition_by("language")}
    models = {str(frame["target"][0]): frame for frame in found.models.partition_by("target")}
    counts = (
        found.points.group_by("target")
        .agg(pl.len().alias("points"), pl.col("run").n_unique().alias("runs"))
        .collect(engine="streaming")
    )
    evaluated = {row["target"]: row for row in counts.to_dicts()}
    whole = found.shares.group_by("run").agg(pl.len().alias("n"))
    alone = set(whole.filter(pl.col("n") == 1)["run"])
    D = dict(found.runs.select("run", "D").iter_rows())
    out: list[dict[str, Any]] = []
    for code in dict.fromkeys([*trained, *evaluated]):
        rows, seen, shares = models.get(code), evaluated.get(code, {}), trained.get(code)
        seen_tokens = (
            [D[r] * s for r, s in shares.select("run", "share").iter_rows() if D.get(r)] if shares is not None else []
        )
        known = shares["share"].to_numpy() if shares is not None else np.array([])
        out.append(
            {
                "language": code,
                "runs": len(known),
                "alone": sum(r in alone for r in shares["run"]) if shares is not None else 0,
                "share": [float(known.min()), float(known.max())] if len(known) else None,
                "shares": levels(known),
                "tokens": [min(seen_tokens), max(seen_tokens)] if seen_tokens else None,
                "epochs": _range(rows["epochs"]) if rows is not None else None,
                "evaluated_runs": seen.get("runs", 0),
                "points": seen.get("points", 0),
                "loss": _range(rows["loss"]) if rows is not None else None,
            }
        )
    return sorted(out, key=lambda row: (-row["runs"], -row["evaluated_runs"], row["language"]))


def mixtures(found: Overview) -> dict[str, Any]:
    """Runs by their number of languages, and pairs that were trained on together."""
    together: Counter[tuple[str, str]] = Counter()
    exactly: Counter[tuple[str, str]] = Counter()
    by_count: Counter[int] = Counter()
    lists = found.shares.group_by("run", maintain_order=True).agg(pl.col("language").sort())
    # Equal lists are counted once: many runs have one mixture.
    for codes, runs in lists["language"].to_frame().group_by("language").len().iter_rows():
        by_count[len(codes)] += runs
        for pair in combinations(codes, 2):
            together[pair] += runs
        if len(codes) == 2:
            exactly[codes[0], codes[1]] += runs
    pairs = sorted(together.items(), key=lambda item: (-item[1], item[0]))
    return {
        "unknown": found.runs.height - lists.height,
        "by_languages": {str(n): by_count[n] for n in sorted(by_count)},
        "pairs": [{"languages": list(pair), "runs": n, "only_these": exactly[pair]} for pair, n in pairs],
    }


def laws(found: Overview) -> list[dict[str, Any]]:
    """By law: targets whose runs tell it, and for the others what is missing or thin, reasons by target."""
    out: list[dict[str, Any]] = []
    for law in LAWS:
        own = [n for n in found.needs if n.law == law]
        out.append(
            {
                "law": law,
                "ready": [n.target for n in own if n.state == "ready"],
                "thin": {n.target: list(n.thin) for n in own if n.state == "thin"},
                "missing": {n.target: [*n.missing, *n.thin] for n in own if n.state == "missing"},
            }
        )
    return out


def _finding(finding: Finding) -> dict[str, Any]:
    """With counts: isogloss runs lint names the rows."""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "rows": max(finding.count, len(finding.rows)),
        "runs": len(finding.runs),
        "message": finding.message,
        "cure": finding.cure,
    }


def _range(values: pl.Series) -> list[float] | None:
    numbers = values.drop_nulls()
    return [float(numbers.min()), float(numbers.max())] if len(numbers) else None  # type: ignore[arg-type]
