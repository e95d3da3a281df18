"""Does the linter find what is wrong? Two made-up tables with planted faults, and the list of what was planted where.

    python benchmarks/lint_faults.py             lint the tables in lint_faults/ and compare with faults.json
    python benchmarks/lint_faults.py --write     make the tables and the list anew

Where ISOGLOSS_DATA names the folder of the public run tables, also: how many errors are raised on the four clean ones
among them. How long it takes: lint_speed.py.

`finals.csv` holds 60 finished runs evaluated on three languages; `curves.csv` twelve runs with ten points each. A fault
counts as found when findings of its code name all of its rows; a false alarm is an error or warning on a row that the
list names under no such code.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isogloss.runs.architecture import Architecture
from isogloss.runs.lint import LintReport, lint_runs

HERE = Path(__file__).parent / "lint_faults"
DATA = Path(os.environ.get("ISOGLOSS_DATA", Path(__file__).parents[2] / "shared" / "data"))
# Public tables, with their files, of which the origin tells no fault: what it leaves out, a column marks.
CLEAN = {
    "Chinchilla": ("chinchilla_svg",),
    "data-constrained": ("datablations",),
    "RegMix": ("regmix_1m", "regmix_60m", "regmix_1b"),
    "language imbalance": ("xling_enfr",),
}
LIST = "faults.json"
LANGUAGES = ("ekk_Latn", "fin_Latn", "swh_Latn")
TEXT = {"ekk_Latn": 8_000_000_000, "fin_Latn": 20_000_000_000, "swh_Latn": 1_000_000_000}
MIXTURES = ((0.7, 0.2, 0.1), (0.4, 0.4, 0.2), (0.1, 0.3, 0.6))
SHAPES = ((6, 384, 6), (8, 512, 8), (12, 768, 12), (16, 1024, 16), (24, 1536, 24))
STEPS = (4_000, 12_000, 40_000, 120_000)
BATCH = 524_288
# E, A, alpha, B, beta of each language, in nats per token.
LAWS = ((2.0, 400.0, 0.34, 900.0, 0.3), (1.9, 420.0, 0.34, 950.0, 0.3), (2.2, 380.0, 0.34, 1000.0, 0.3))

Row = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """`rows` are data rows of the table, from 1. `also` are codes that are true of the same rows because of it."""

    table: str
    code: str
    rows: list[int]
    column: str
    what: str
    also: list[str]


def run_rows(
    run: str, shape: tuple[int, int, int], steps: int, mixture: tuple[float, ...], noise: np.ndarray
) -> list[Row]:
    layers, width, heads = shape
    model = Architecture(layers, width, 4 * width, heads, width // heads, 32_000, tied=False)
    D = steps * BATCH
    shares = dict(zip(LANGUAGES, mixture, strict=True))
    return [
        {
            **{"run_id": run, "target": target, "layers": layers, "d_model": width, "d_ff": 4 * width, "heads": heads},
            **{"vocab_size": 32_000, "params_total": model.params_total},
            **{"params_non_embedding": model.params_non_embedding, "batch_tokens": BATCH, "steps": steps},
            **{"max_steps": steps, "tokens": D, "flops": 6 * model.params_non_embedding * D},
            **{"target_tokens": round(shares[target] * D), "unique_tokens": sum(TEXT.values())},
            "epochs": D / sum(TEXT.values()),
            **{f"share:{name}": share for name, share in shares.items()},
            **{f"realised:{name}": round(share + 0.001 * (i - 1), 4) for i, (name, share) in enumerate(shares.items())},
            **{f"unique:{name}": tokens for name, tokens in TEXT.items()},
            "loss": round(
                float((E + A / model.params_non_embedding**a + B / (shares[target] * D) ** b) * np.exp(e)), 5
            ),
            **{"unit": "nats/token", "lr_phase": "final", "status": "finished", "tokenizer": "unigram-32k"},
            **{"eval_set": "flores", "eval_documents": 1012, "schedule": "wsd", "context_length": 2048},
        }
        for target, (E, A, a, B, b), e in zip(LANGUAGES, LAWS, noise, strict=True)
    ]


class Planter:
    def __init__(self, table: str, rows: list[Row]):
        self.table, self.rows, self.faults = table, rows, list[Fault]()

    def of(self, run: str, target: int | None = None) -> list[int]:
        """Data rows of a run, or of its one target."""
        found = [i + 1 for i, row in enumerate(self.rows) if row["run_id"] == run]
        return [i for i in found if target is None or self.rows[i - 1]["target"] == LANGUAGES[target]]

    def edit(self, rows: list[int], **changes: Any) -> None:
        for i in rows:
            for key, value in changes.items():
                column = key.replace("__", ":")
                self.rows[i - 1][column] = value(self.rows[i - 1]) if callable(value) else value

    def plant(
        self, code: str, rows: list[int], column: str, what: str, also: tuple[str, ...] = (), **changes: Any
    ) -> None:
        self.edit(rows, **changes)
        self.note(code, rows, column, what, also)

    def note(self, code: str, rows: list[int], column: str, what: str, also: tuple[str, ...] = ()) -> None:
        self.faults.append(Fault(self.table, code, rows, column, what, list(also)))

    def append(self, rows: list[int], **changes: Any) -> list[int]:
        first = len(self.rows) + 1
        self.rows += [copy.copy(self.rows[i - 1]) for i in rows]
        added = list(range(first, len(self.rows) + 1))
        self.edit(added, **changes)
        return added


def times(column: str, factor: float, digits: int = 5) -> Callable[[Row], float]:
    return lambda row: round(row[column] * factor, digits)


def finals() -> Planter:
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    for i in range(60):
        shape, steps, mixture = SHAPES[i // 12], STEPS[i % 12 // 3], MIXTURES[i % 3]
        rows += run_rows(f"run-{i:02d}", shape, steps, mixture, rng.normal(0, 0.002, 3))
    t = Planter("finals.csv", rows)
    whole = [t.of(f"run-{i:02d}") for i in range(60)]
    empty: dict[str, Any] = dict.fromkeys(("tokens", "steps", "flops", "target_tokens", "epochs", "loss"))
    t.plant("ghost", whole[0], "loss", "listed, never ran: no tokens, no loss, no status", status=None, **empty)
    t.plant("ghost", whole[1], "status", "listed as a ghost", status="ghost", **empty)
    t.plant("unfinished", whole[2], "status", "still running", status="running")
    t.plant("unfinished", whole[3], "max_steps", "called finished at half of its steps", max_steps=2 * STEPS[1])
    t.plant("diverged", whole[4], "status", "diverged, and its loss is nan", status="diverged", loss="nan")
    t.plant("nan-loss", whole[5][1:2], "loss", "nan in a finished run", loss="nan")
    t.plant("nan-loss", whole[6][2:], "loss", "inf in a finished run", loss="inf")
    t.plant("no-loss", whole[7][:1], "loss", "empty though it was trained", loss=None)
    t.plant("out-of-range", whole[8][1:2], "loss", "negative", loss=times("loss", -1))
    copied = t.append(whole[9][:1])
    t.note("duplicate", whole[9][:1] + copied, "run_id", "a row twice")
    again = t.append(whole[10][1:2], loss=times("loss", 1.03))
    t.note("conflicting-duplicate", whole[10][1:2] + again, "loss", "a point twice with two losses")
    other = t.append(whole[11], run_id="rerun-11")
    t.note("copied-run", whole[11] + other, "run_id", "one run under two names")
    t.plant(
        "mixed-units", whole[12][2:], "unit", "bits per token", unit="bits/token", loss=times("loss", 1 / math.log(2))
    )
    t.plant("mixed-units", whole[13], "unit", "bits per byte", unit="bpb", loss=times("loss", 0.3))
    t.plant("unknown-unit", whole[14][:1], "unit", "no unit of a loss", unit="perplexity")
    t.plant("unknown-unit", whole[15][1:2], "unit", "empty", unit=None)
    t.plant("params-mismatch", whole[16], "params_total", "half as much again", params_total=times("params_total", 1.5))
    inner = lambda row: row["params_non_embedding"]  # noqa: E731
    t.plant("params-which", whole[17], "params_total", "the count without embeddings", params_total=inner)
    for i in whole[18]:
        row = rows[i - 1]
        row["params_total"], row["params_non_embedding"] = row["params_non_embedding"], row["params_total"]
    t.note("params-order", whole[18], "params_total", "the two counts swapped")
    t.plant("odd-scale", whole[19], "params_total", "in millions", params_total=times("params_total", 1e-6))
    t.plant("odd-scale", whole[20], "tokens", "in billions", tokens=times("tokens", 1e-9))
    twice: dict[str, Any] = {c: times(c, 2) for c in ("tokens", "flops", "target_tokens", "epochs")}
    t.plant("tokens-mismatch", whole[21], "tokens", "twice steps x batch_tokens", **twice)
    t.plant("flops-mismatch", whole[22], "flops", "eight times 6 N D", flops=times("flops", 8))
    t.plant("shares-sum", whole[23], "share:fin_Latn", "shares sum to 1.7", also=("shares-realised",),
            share__fin_Latn=lambda row: row["share:fin_Latn"] + 0.7)  # fmt: skip
    percent: dict[str, Any] = {f"share__{n}": times(f"share:{n}", 100) for n in LANGUAGES}
    t.plant("shares-percent", whole[24], "share:ekk_Latn", "percent", **percent)
    also = ("shares-realised", "target-tokens-mismatch")
    t.plant("share-range", whole[25], "share:swh_Latn", "a negative share", also,
            share__ekk_Latn=0.9, share__fin_Latn=0.2, share__swh_Latn=-0.1)  # fmt: skip
    t.plant("shares-sum", whole[26], "share:swh_Latn", "shares sum to 1.015",
            share__swh_Latn=lambda row: row["share:swh_Latn"] + 0.015)  # fmt: skip
    t.plant("shares-realised", whole[27], "realised:ekk_Latn", "other shares than asked for",
            realised__ekk_Latn=0.5, realised__fin_Latn=0.4, realised__swh_Latn=0.1)  # fmt: skip
    t.plant("epochs-mismatch", whole[28], "epochs", "one epoch, against tokens / unique_tokens", epochs=1.3)
    t.plant(
        "target-tokens-mismatch", whole[29][:1], "target_tokens", "all tokens", target_tokens=lambda row: row["tokens"]
    )
    t.plant("lr-phase-unknown", whole[30], "lr_phase", "empty", lr_phase=None)
    t.plant("mixed-lr-phase", whole[31], "lr_phase", "not decayed", lr_phase="stable")
    t.plant("mixed-tokenizer", whole[32], "tokenizer", "another tokenizer", tokenizer="bpe-50k")
    t.plant("mixed-eval-set", whole[33][:1], "eval_set", "another evaluation set", eval_set="holdout")
    t.plant(
        "high-loss",
        whole[34][2:],
        "loss",
        "three times its neighbours'",
        also=("loss-above-uniform",),
        loss=times("loss", 3),
    )
    t.plant("low-loss", whole[35][:1], "loss", "a third of its neighbours'", loss=times("loss", 0.3))
    t.plant("unreadable", whole[36], "params_non_embedding", "not a number", params_non_embedding="n/a")
    t.plant("missing-value", whole[37], "tokens", "empty, though steps are known", tokens=None)
    t.plant("run-conflict", whole[38] + whole[53], "run_id", "one name for two models", run_id="run-38")
    t.plant("language-unknown", whole[40][2:], "target", "a misspelt language", target="swh_Latin")
    t.plant("missing-flops", whole[41], "flops", "empty", flops=None)
    return t


def curves() -> Planter:
    rng = np.random.default_rng(1)
    points = [int(s) for s in np.geomspace(1000, 60_000, 10)]
    rows: list[Row] = []
    for i in range(12):
        for steps in points:
            made = run_rows(f"curve-{i:02d}", SHAPES[i % 4], steps, MIXTURES[i // 4], rng.normal(0, 0.002, 3))
            rows += [{**row, "lr_phase": "stable", "max_steps": points[-1], "epochs": row["epochs"]} for row in made]
    t = Planter("curves.csv", rows)
    c = [f"curve-{i:02d}" for i in range(12)]
    t.plant("loss-spike", t.of(c[0], 0)[5:6], "loss", "a spike, gone at the next point", loss=times("loss", 1.6))
    first = rows[t.of(c[1], 1)[0] - 1]["loss"]
    t.plant(
        "loss-above-start",
        t.of(c[1], 1)[6:],
        "loss",
        "ends above where it began",
        also=("high-loss",),
        loss=round(1.1 * first, 5),
    )
    t.plant("loss-rises", t.of(c[2], 2)[7:], "loss", "collapses and stays there", loss=times("loss", 1.4))
    late = [i for k in range(3) for i in t.of(c[3], k)[6:]]
    before = rows[t.of(c[3], 0)[5] - 1]
    t.plant(
        *("counter-restart", sorted(late), "tokens", "counts from zero after a resume"),
        also=("tokens-mismatch", "flops-mismatch", "target-tokens-mismatch", "epochs-mismatch"),
        tokens=lambda row: row["tokens"] - before["tokens"],
    )
    t.plant("nan-loss", t.of(c[4], 1)[6:], "loss", "nan from a point on", loss="nan")
    point = t.of(c[5], 0)[5:6]
    t.note(
        "conflicting-duplicate",
        point + t.append(point, loss=times("loss", 1.02)),
        "loss",
        "logged again after a resume",
    )
    t.plant("lr-phase-unknown", t.of(c[6])[15:], "lr_phase", "empty from a point on", lr_phase=None)
    t.plant("run-conflict", t.of(c[7]), "tokenizer", "another tokenizer from a point on")
    t.plant("mixed-tokenizer", t.of(c[7])[15:], "tokenizer", "another tokenizer from a point on", tokenizer="bpe-50k")
    t.plant("mixed-eval-set", t.of(c[8], 2)[4:], "eval_documents", "fewer documents", eval_documents=500)
    return t


def write(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    planted = (finals(), curves())
    for t in planted:
        pl.DataFrame([{k: None if v is None else str(v) for k, v in row.items()} for row in t.rows]).write_csv(
            folder / t.table
        )
    lines = [json.dumps(asdict(f)) for t in planted for f in t.faults]
    (folder / LIST).write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def faults(folder: Path = HERE) -> list[Fault]:
    return [Fault(**entry) for entry in json.loads((folder / LIST).read_text(encoding="utf-8"))]


def missed_and_alarms(folder: Path = HERE) -> tuple[list[Fault], list[str]]:
    """Faults that were not found, and errors and warnings on rows where nothing of the kind was planted."""
    listed = faults(folder)
    missed: list[Fault] = []
    alarms: list[str] = []
    for table in dict.fromkeys(f.table for f in listed):
        found: dict[str, set[int]] = {}
        planted: dict[str, set[int]] = {}
        for finding in lint_runs(folder / table).findings:
            rows = found.setdefault(finding.code, set())
            rows |= set(finding.rows)
            if finding.severity == "info" and finding.code not in {f.code for f in listed}:
                del found[finding.code]
        for fault in (f for f in listed if f.table == table):
            if not set(fault.rows) <= found.get(fault.code, set()):
                missed.append(fault)
            for code in (fault.code, *fault.also):
                planted.setdefault(code, set()).update(fault.rows)
        for code, rows in found.items():
            extra = sorted(rows - planted.get(code, set()))
            if extra or not rows:
                alarms.append(f"{table}: {code}, rows {extra}")
    return missed, alarms


def clean(folder: Path) -> dict[str, LintReport]:
    """What is found in the clean tables, by file."""
    return {name: lint_runs(folder / f"{name}.csv") for files in CLEAN.values() for name in files}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.write:
        write(HERE)
    missed, alarms = missed_and_alarms()
    listed = faults()
    kinds = {f.code for f in listed}
    found = f"{len(listed) - len(missed)} of {len(listed)} planted faults found"
    print(f"{found}, of {len(kinds)} kinds; {len(alarms)} false alarms")
    for fault in missed:
        print(f"missed: {fault}")
    for alarm in alarms:
        print(f"false alarm: {alarm}")
    errors = 0
    if DATA.is_dir():
        reports = clean(DATA)
        errors = sum(report.count("error") for report in reports.values())
        rows = sum(report.rows for report in reports.values())
        print(f"{errors} errors raised on {len(CLEAN)} clean public tables ({len(reports)} files, {rows} rows)")
    else:
        print("The public tables were not linted: set ISOGLOSS_DATA to their folder.")
    return bool(missed or alarms or errors)


if __name__ == "__main__":
    sys.exit(main())
