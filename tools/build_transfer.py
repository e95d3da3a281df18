"""Build the packaged matrix of bilingual transfer scores from the published figure.

    python tools/build_transfer.py FACTS_DIR

FACTS_DIR holds atlas_transfer_matrix_long.csv (ATLAS, arXiv:2510.22037, figure C.2, one decimal as printed).
The same inputs give identical bytes.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from isogloss import languages

OUT = Path(__file__).resolve().parents[1] / "src/isogloss/transfer/data/atlas_bts.csv"
KINDS = {"measured_BTS": "published", "predicted_by_random_forest": "predicted"}


def build(facts: Path) -> list[dict[str, str]]:
    """One row per ordered pair, by target and then source, the scores as printed ("-0.0" included)."""
    with (facts / "atlas_transfer_matrix_long.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    rows = [
        {
            "source": languages.resolve(cell["source_lang"]),
            "target": languages.resolve(cell["target_lang"]),
            "bts": cell["bts_1dp"],
            "kind": KINDS[cell["provenance"]],
        }
        for cell in cells
    ]
    return sorted(rows, key=lambda row: (row["target"], row["source"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("facts_dir", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    rows = build(args.facts_dir)
    with args.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} pairs")


if __name__ == "__main__":
    main()
