"""Languages: codes and names, scripts, families, text inventory, byte premiums."""

from isogloss.languages.resolving import get as get
from isogloss.languages.resolving import resolve as resolve
from isogloss.languages.searching import search as search
from isogloss.languages.table import SOURCES as SOURCES
from isogloss.languages.table import Language as Language
from isogloss.languages.table import Premium as Premium
from isogloss.languages.table import all_languages as all_languages
from isogloss.languages.text import TextEstimate as TextEstimate
from isogloss.languages.text import family_of as family_of
from isogloss.languages.text import tokens_available as tokens_available
