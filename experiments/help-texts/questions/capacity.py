"""What each further language costs: the exponents of the K law, and whether K counts languages or their entropy."""

from __future__ import annotations

from typing import Any

from isogloss import Expansion, expand, fit_languages
from isogloss.report import save
from questions.tables import Tables, kept, plenty, shares_of


def answer(tables: Tables) -> dict[str, Any]:
    even = [max(one.values()) - min(one.values()) < 0.02 for one in shares_of(tables.main)]
    table = plenty(kept(tables.main, even))
    out: dict[str, Any] = {"rows": len(table)}
    fits = fit_languages("k-law", table, params="non_embedding", across="tied")
    folder = tables.out / "k-law"
    fits.save(folder)
    save(fits, tables.out / "k-law.html")
    first = fits.languages[0]
    some = fits[first]
    out["level"] = some.level
    out["exponents"] = {e.name: [e.value, e.low, e.high] for e in some.coefficients if e.name in ("phi", "psi")}
    out["published"] = {"phi": 0.11, "psi": -0.04}
    out["twice"] = {"here": _factors(expand(2, fit=folder / fits.folder(first))), "published": _factors(expand(2))}
    return out


def _factors(found: Expansion) -> dict[str, list[float]]:
    """With limits of their intervals."""
    said = found.to_dict()
    names = ("N_factor", "D_factor", "C_factor")
    return {name: [said[name], said["intervals"][name]["low"], said["intervals"][name]["high"]] for name in names}
