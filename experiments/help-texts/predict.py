"""Predict the runs of confirm/ from those of main/, before they are trained.

python experiments/help-texts/predict.py     writes predictions.json; refused once a run of confirm/ has begun
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import polars as pl
from questions.tables import BEGUN, Tables, published
from train import HERE

from isogloss import fit_languages
from isogloss.files import write_text
from isogloss.sweeps.layout import state_of
from isogloss.sweeps.prepared import Prepared, prepare

LAWS = (
    "chinchilla",
    "data-constrained",
    "family",
    "k-law",
    "atlas-own",
    "atlas-other",
    "atlas",
    "atlas-capacity",
    "atlas-equal",
)
# By which the paper's claim is made: the form that plans rest on. The others are what it is measured against.
OURS = "atlas-equal"
LEVEL = 0.9


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    prepared = prepare(HERE / "confirm")
    begun = [job.run_id for job in prepared.jobs if state_of(prepared.folder, job) != "waiting"]
    if begun:
        raise SystemExit(f"{len(begun)} runs of confirm/ have begun: a prediction comes before.")
    table = Tables(published, Path()).main
    planned = rows_of(prepared)
    laws: dict[str, list[dict]] = {}
    for law in LAWS:
        fits = fit_languages(law, table, params="non_embedding", across="pooled", level=LEVEL)
        said = fits.predict_runs(planned)
        laws[law] = said.select("run_id", "tokens", "target", "loss", "low", "high").to_dicts()
        print(f"{law}: {said.height} losses", flush=True)
    record = {"fitted_to": {"runs": table.frame["run_id"].n_unique(), "rows": len(table)}, "level": LEVEL, "ours": OURS}
    write_text(HERE / "predictions.json", json.dumps({**record, "unit": "bits/byte", "laws": laws}, indent=1) + "\n")


def rows_of(prepared: Prepared) -> pl.DataFrame:
    """A row for each run, budget and language of which it sees enough."""
    rows = []
    for job in prepared.jobs:
        spec = job.spec
        for tokens in job.ends:
            for target in [name for name, share in spec.shares.items() if share * tokens >= BEGUN]:
                row = {"run_id": job.run_id, "target": target, "tokens": tokens, "params_total": spec.params_total}
                row["params_non_embedding"] = spec.params_non_embedding
                row |= {f"share:{name}": spec.shares.get(name, 0.0) for name in prepared.study.languages}
                row |= {f"unique:{name}": value for name, value in (spec.unique_tokens or {}).items()}
                rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


if __name__ == "__main__":
    main()
