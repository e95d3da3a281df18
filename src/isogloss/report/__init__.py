"""Results as cards, and cards as pages, documents and pictures.

Names load on first use: what reads a page needs no law.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isogloss.report.answers import cards as cards
    from isogloss.report.answers import section as section
    from isogloss.report.card import Card as Card
    from isogloss.report.card import Section as Section
    from isogloss.report.fit_languages import languages_cards as languages_cards
    from isogloss.report.fits import fit_cards as fit_cards
    from isogloss.report.gathering import gather as gather
    from isogloss.report.picture import save_picture as save_picture
    from isogloss.report.plans import picture_of_plan as picture_of_plan
    from isogloss.report.plans import plan_cards as plan_cards
    from isogloss.report.render import to_html as to_html
    from isogloss.report.saving import save as save

_HOMES = {
    "answers": ("cards", "section"),
    "card": ("Card", "Section"),
    "fit_languages": ("languages_cards",),
    "fits": ("fit_cards",),
    "gathering": ("gather",),
    "picture": ("save_picture",),
    "plans": ("picture_of_plan", "plan_cards"),
    "render": ("to_html",),
    "saving": ("save",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'isogloss.report' has no attribute {name!r}")
    value = getattr(import_module(f"isogloss.report.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
