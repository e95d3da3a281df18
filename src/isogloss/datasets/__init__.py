"""Run tables that are shipped with isogloss. Every verb reads them by name: `isogloss fit isogloss://help-texts`."""

from __future__ import annotations

from isogloss.runs import RunTable, read_runs
from isogloss.stores import mirrored


def help_texts(part: str = "main") -> RunTable:
    """Small models on LibreOffice's help in fourteen languages, read as bytes, a row per finished model and language.

    `part` is one of the studies: "main" (languages alone, pairs and mixtures of up to 14, little text seen often,
    seeds, models that go on from one of all languages), "disjoint" (pairs that see the same pages, and others),
    "confirm" (a larger size and ten mixtures, predicted before they were trained), "planned" (a plan's mixture and
    naive ones), "vocab-multilingual" (2,048 pieces of all languages instead of bytes) and, of one language each,
    "vocab-eng_Latn", "vocab-por_Latn", "vocab-ekk_Latn" and "vocab-cmn_Hani". Or models of "main" on other text:
    "prose" in ten languages, and the "declaration" of human rights in 493. All rows are in, those of continued runs
    (`init`) and of models that have hardly begun on a language too, which the study's own fits leave out.
    Curves are in a study's folder: `read_runs("isogloss://help-texts/main", where="lr_phase=stable")`. How they
    were trained: experiments/help-texts; what they say: docs/first-study.md.

    Raises InputError for an unknown part.
    """
    return read_runs(mirrored(f"isogloss://help-texts/{part}"))
