"""The planner's mixture for a question of this study's own, beside four naive ones, as a study to train.

python experiments/help-texts/plan_mixtures.py     writes planned/plan.json and planned/study.toml

Three languages have 50,000 bytes of text each; four have all of theirs, and count for less.
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

# Their repetition was measured in main/, and each has a neighbour among the others.
SCARCE = ("por_Latn", "ekk_Latn", "cmn_Hani")
PLENTY = ("eng_Latn", "spa_Latn", "fin_Latn", "jpn_Jpan")
LITTLE, SAID = 50_000, "50K"
WEIGHTS = dict.fromkeys(SCARCE, 1.0) | dict.fromkeys(PLENTY, 0.3)
# The plan repeats as often as it pays; UniMax takes four epochs at most.
MOST_EPOCHS, UNIMAX_EPOCHS = 100, 4
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
        asked = grounds(tables, Path(folder))
        said = plan(asked).to_dict()
        capped = {**asked, "limits": {**asked["limits"], "max_epochs": UNIMAX_EPOCHS}}
        said["alternatives"]["unimax"] = plan(capped, draws=0).to_dict()["alternatives"]["unimax"]
        text = json.dumps(said, indent=1, default=float).replace(f"{folder}/", "")
    FOLDER.mkdir(exist_ok=True)
    write_text(FOLDER / "plan.json", text + "\n")
    write_text(FOLDER / "study.toml", study(mixtures(said)))


def mixtures(said: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Shares by the name of the mixture, as they are trained, of what plan.json says."""
    wanted = {"plan": said["shares"]} | {name: said["alternatives"][name]["shares"] for name in NAIVE}
    return {name: _rounded(shares) for name, shares in wanted.items()}


def grounds(tables: Tables, folder: Path) -> dict[str, Any]:
    """The question, by the law and the weights that main/ gives, each of all languages that the question knows."""
    names = (*SCARCE, *PLENTY)
    sources = {name: [other for other in names if other != name] for name in names}
    fits = fit_languages("atlas-equal", tables.main, params="total", across="pooled", targets=names, sources=sources)
    fits.save(folder / "fits")
    weights = ["target,source,tau"]
    for target, one in fits.fits.items():
        values = {e.name: e.value for e in one.coefficients}
        weights += [f"{target},{source},{values[f'tau[{source}]']}" for source in sources[target]]
    write_text(folder / "weights.csv", "\n".join(weights) + "\n")
    decay = float(np.median([e.value for one in fits.fits.values() for e in one.coefficients if e.name == "lambda_"]))
    return question(tables, fits, folder, decay)


def question(tables: Tables, fits: Any, folder: Path, decay: float) -> dict[str, Any]:
    alone = tables.main.frame
    whole = {name: float(alone[f"unique:{name}"].drop_nulls().max()) for name in PLENTY}
    languages: dict[str, Any] = {
        name: {"tokens": whole.get(name, LITTLE), "weight": weight} for name, weight in WEIGHTS.items()
    }
    for name, one in languages.items():
        one["fit"] = str(folder / "fits" / fits.folder(name))
    return {
        "title": "Three languages with little text, four with plenty",
        "budget": 6.0 * PARAMS * TOKENS,
        "limits": {"min_params": PARAMS * 0.999, "max_params": PARAMS * 1.001, "max_epochs": MOST_EPOCHS},
        "languages": languages,
        "assumptions": {
            "transfer": str(folder / "weights.csv"),
            "repetition_decay": decay,
            "vocabulary": 256,
        },
    }


def study(mixtures: Mapping[str, Mapping[str, float]]) -> str:
    head = (HERE / "main" / "study.toml").read_text(encoding="utf-8")
    texts = head[head.index("[languages.eng_Latn]") : head.index("[evaluation]")].rstrip()
    lines = ['title = "Help texts: the planner\'s mixture and four naive ones"', "", texts, ""]
    # Every model on every language, whether its mixture has it or not.
    lines += ["[evaluation]", "bytes = 24_000", "first = 262_144", "per_doubling = 0"]
    lines += ["", "[machine]", "compile = true   # needs a C++ compiler"]
    for name, shares in mixtures.items():
        said = ", ".join(f"{code} = {share:.4f}" for code, share in shares.items())
        scarce = ", ".join(f'{code} = "{SAID}"' for code in SCARCE if code in shares)
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
