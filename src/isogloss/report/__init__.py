"""Results as cards, and cards as pages and pictures."""

from isogloss.report.card import Card
from isogloss.report.fit_languages import languages_cards
from isogloss.report.fits import fit_cards
from isogloss.report.picture import save_picture
from isogloss.report.plans import picture_of_plan, plan_cards
from isogloss.report.render import to_html

__all__ = ["Card", "fit_cards", "languages_cards", "picture_of_plan", "plan_cards", "save_picture", "to_html"]
