"""The planner's mixture for a question of this study's own, beside four naive ones, as a study to train.

python experiments/help-texts/plan_mixtures.py     writes planned/plan.json and planned/study.toml

Three languages have 100,000 bytes of text each; four others have all of theirs, and count only for what they help.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from questions.tables import Tables, published
from train import HERE

from isogloss import fit_languages, plan
from isogloss.files import write_text
from isogloss.planning import Plan

TARGETS = ("por_Latn", "ekk_Latn", "khm_Khmr")
HELPERS = ("eng_Latn", "spa_Latn", "fin_Latn", "cmn_Hani")
SCARCE = 100_000
# Of the largest rung, with embeddings.
PARAMS, TOKENS = 3_209_088, 2_000_000
SEEDS = (0, 1, 2)
NAIVE = ("uniform", "proportional", "temperature", "unimax")
FOLDER = HERE / "planned"


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if (FOLDER / "runs").is_dir():
        raise SystemExit("runs of planned/ have begun: the plan comes before.")
    tables = Tables(published, Path())
    with tempfile.TemporaryDirectory() as folder:
        made = planned(tables, Path(folder))
    said = made.to_dict()
    FOLDER.mkdir(exist_ok=True)
    write_text(FOLDER / "plan.json", json.dumps(said, indent=1, default=float) + "\n")
    write_text(FOLDER / "study.toml", study(mixtures(said)))


def mixtures(said: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Shares by the name of the mixture, as they are trained, of what plan.json says."""
    wanted = {"plan": said["shares"]} | {name: said["alternatives"][name]["shares"] for name in NAIVE}
    return {name: _rounded(shares) for name, shares in wanted.items()}


def planned(tables: Tables, folder: Path) -> Plan:
    """By the law and the weights that main/ gives, each of all languages that the question knows."""
    names = (*TARGETS, *HELPERS)
    sources = {name: [other for other in names if other != name] for name in names}
    fits = fit_languages("atlas-equal", tables.main, params="total", across="pooled", targets=names, sources=sources)
    fits.save(folder / "fits")
    weights = ["target,source,tau"]
    for target, one in fits.fits.items():
        values = {e.name: e.value for e in one.coefficients}
        weights += [f"{target},{source},{values[f'tau[{source}]']}" for source in sources[target]]
    write_text(folder / "weights.csv", "\n".join(weights) + "\n")
    decay = float(np.median([e.value for one in fits.fits.values() for e in one.coefficients if e.name == "lambda_"]))
    return plan(question(tables, fits, folder, decay))


def question(tables: Tables, fits: Any, folder: Path, decay: float) -> dict[str, Any]:
    alone = tables.main.frame
    whole = {name: float(alone[f"unique:{name}"].drop_nulls().max()) for name in HELPERS}
    languages: dict[str, Any] = {name: {"tokens": SCARCE, "weight": 1.0} for name in TARGETS}
    languages |= {name: {"tokens": whole[name], "weight": 0.0} for name in HELPERS}
    for name, one in languages.items():
        one["fit"] = str(folder / "fits" / fits.folder(name))
    return {
        "title": "Three scarce languages, four that may help",
        "budget": 6.0 * PARAMS * TOKENS,
        "limits": {"min_params": PARAMS * 0.999, "max_params": PARAMS * 1.001, "max_epochs": 100},
        "languages": languages,
        "assumptions": {
            "transfer": str(folder / "weights.csv"),
            "repetition_decay": decay,
            "vocabulary": 256,
        },
    }


def study(mixtures: Mapping[str, Mapping[str, float]]) -> str:
    head = (HERE / "main" / "study.toml").read_text(encoding="utf-8")
    begin, end = head.index("[languages.eng_Latn]"), head.index("# --- monolingual ladders")
    lines = ['title = "Help texts: the planner\'s mixture and four naive ones"', "", head[begin:end].rstrip()]
    for name, shares in mixtures.items():
        said = ", ".join(f"{code} = {share:.4f}" for code, share in shares.items())
        scarce = ", ".join(f'{code} = "100K"' for code in TARGETS if code in shares)
        lines += ["", "[[runs]]", f'name = "{name}"', 'mixture = "shares"', f"shares = {{{said}}}", 'sizes = "3M"']
        lines += ['tokens = "2M"', f"seeds = {list(SEEDS)}", f"unique = {{{scarce}}}"]
    return "\n".join(lines) + "\n"


def _rounded(shares: Mapping[str, float]) -> dict[str, float]:
    """To four digits, without shares below 0.2 %; the largest takes what rounding leaves, so that they sum to one."""
    kept = {code: share for code, share in shares.items() if share >= 0.002}
    total = sum(kept.values())
    kept = {code: round(share / total, 4) for code, share in kept.items()}
    kept[max(kept, key=kept.__getitem__)] += 1 - sum(kept.values())
    return kept


if __name__ == "__main__":
    main()
