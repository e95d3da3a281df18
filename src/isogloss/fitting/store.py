"""A fit on disk: fit.json for what it says, Parquet for its draws and rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isogloss.errors import InputError
from isogloss.files import finite, new_folder
from isogloss.fitting.choices import Choices
from isogloss.fitting.health import Health, Profile
from isogloss.fitting.identify import Finding
from isogloss.fitting.layout import make_layout
from isogloss.fitting.more_runs import Addition
from isogloss.fitting.result import SCHEMA, Estimate, Fit, FitStatus
from isogloss.laws import get_law
from isogloss.laws.base import Law
from isogloss.laws.own import load_law
from isogloss.runs import LeftOut
from isogloss.stores import local, mirrored

MARKER = "fit.json"
FILES = (MARKER, "draws.parquet", "rows.parquet")


def save_fit(fit: Fit, folder: str | Path, *, pages: dict[str, str] | None = None) -> Path:
    """Write the fit into `folder`, with `pages` (file name to text) beside it, whole or not at all."""
    path = mirrored(folder)
    with new_folder(path, marker=MARKER) as temporary:
        (temporary / MARKER).write_text(json.dumps(finite(fit.to_dict()), indent=1), encoding="utf-8")
        names = [e.name for e in fit.coefficients]
        drawn = pl.DataFrame(fit.draws, schema=dict.fromkeys(names, pl.Float64))
        drawn.write_parquet(temporary / "draws.parquet")
        fit.rows.write_parquet(temporary / "rows.parquet")
        for name, text in (pages or {}).items():
            (temporary / name).write_text(text, encoding="utf-8")
    return path


def load_fit(folder: str | Path) -> Fit:
    """Read a fit that `Fit.save` wrote. Raises InputError if it is not whole, damaged, or of another schema."""
    path = Path(local(folder))
    _refuse_several(path)
    for name in FILES:
        if not (path / name).is_file():
            raise InputError(
                f"no fit in {path}: {name} is not there", hint="Give a folder that `isogloss fit` wrote, or fit again."
            )
    try:
        saved = json.loads((path / MARKER).read_text(encoding="utf-8"))
        draws = pl.read_parquet(path / "draws.parquet")
        rows = pl.read_parquet(path / "rows.parquet")
        schema = saved["schema"]
        if schema == SCHEMA:
            return _from_saved(saved, draws, rows)
    except InputError as gone:
        raise InputError(gone.what, where=f"{path}, {gone.where}", hint=gone.hint) from None
    except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as broken:
        raise InputError(f"the fit is damaged: {broken!r}", where=str(path), hint="Fit again.") from None
    raise InputError(f"schema {schema} of this fit is not {SCHEMA}", where=str(path), hint="Fit again.")


def _refuse_several(path: Path) -> None:
    """A folder of several languages' fits holds one folder for each."""
    try:
        saved = json.loads((path / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(saved, dict) and "across" in saved:
        names = ", ".join(saved["languages"][:6])
        raise InputError(
            f"{path} holds fits of {len(saved['languages'])} languages: {names}",
            hint=f"Name one: {path / str(saved['languages'][0])}. To read all, load_languages.",
        )


def _from_saved(saved: dict[str, Any], draws: pl.DataFrame, rows: pl.DataFrame) -> Fit:
    coefficients = tuple(Estimate(name, **fields) for name, fields in saved["coefficients"].items())
    held = {e.name: e.value for e in coefficients if e.held}
    layout, _ = make_layout(
        _law(saved),
        sources=saved["sources"],
        languages=saved.get("mixture_names", ()),
        fix=held,
        free=[e.name.split("[")[0] for e in coefficients if not e.held],
        switches=saved["switches"],
    )
    return Fit(
        layout=layout,
        law=layout.to_law(np.array([e.value for e in coefficients])),
        coefficients=coefficients,
        draws=draws.to_numpy(),
        intervals=saved["intervals"],
        level=saved["level"],
        objective_name=saved["objective_name"],
        objective=saved["objective"],
        status=FitStatus[saved["status"].upper()],
        health=_health(saved["health"]),
        rows=rows,
        params=saved["params"],
        unit=saved["unit"],
        source=saved["source"],
        left_out=tuple(LeftOut(**r) for r in saved["rows_left_out"]),
        warnings=tuple(saved["warnings"]),
        starts=saved["starts"],
        seed=saved["seed"],
        named=tuple(saved.get("named", {}).items()),
        choices=Choices.from_dict(saved["choices"]) if saved.get("choices") else None,
    )


def _law(saved: dict[str, Any]) -> type[Law]:
    """The class of the law, from the user's own file where it came from there and the file is as it was."""
    own = saved.get("law_file")
    return get_law(saved["law"]) if own is None else load_law(own["reference"], text_hash=own["sha256"])


def _health(saved: dict[str, Any]) -> Health:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
    return Health(
        **{
            **fields,
            "profiles": tuple(Profile(**p) for p in saved["profiles"]),
            "findings": tuple(_finding(f) for f in saved.get("findings", ())),
        }
    )


def _finding(saved: dict[str, Any]) -> Finding:
    additions = tuple(Addition(**a) for a in saved["additions"])
    return Finding(**{**saved, "coefficients": tuple(saved["coefficients"]), "additions": additions})
