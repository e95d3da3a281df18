"""URIEL+'s typological distances, from the user's own `urielplus`: its licence keeps them out of this package."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from isogloss.errors import InputError

KINDS = ("syntactic", "phonological", "inventory")


def uriel_distances(iso639_3: Sequence[str]) -> dict[str, np.ndarray]:
    """`(K, K)` angular distances, 0 to 1, by kind; NaN where URIEL+ has no feature in common for the two.

    Of the typological data that urielplus carries ready to use, its own defaults otherwise (Khan et al. 2025,
    arXiv:2409.18472). InputError if `urielplus` is not installed.
    """
    with _root_logger_as_it_was():
        database = _database()
        known = [set(map(str, languages)) for languages in database.langs[:2]]  # its distances ask for both
        asked = list(dict.fromkeys(code for code in iso639_3 if code in known[0] & known[1]))
        padding = [code for code in ("eng", "fra", "deu") if code not in asked]
        # With fewer than three languages it returns numbers, and refuses pairs without a common feature.
        matrices = database.new_distance(list(KINDS), asked + padding[: max(3 - len(asked), 0)])
    place = {code: i for i, code in enumerate(asked)}
    here = [i for i, code in enumerate(iso639_3) if code in place]
    there = [place[iso639_3[i]] for i in here]
    found = {}
    for kind, matrix in zip(KINDS, matrices, strict=True):
        matrix = np.asarray(matrix, float)
        values = np.full((len(iso639_3), len(iso639_3)), np.nan)
        values[np.ix_(here, here)] = np.where(matrix < 0, np.nan, matrix)[np.ix_(there, there)]
        found[kind] = values
    return found


def _database() -> Any:
    try:
        module = import_module("urielplus.urielplus")
    except ImportError as error:
        if error.name is not None and not error.name.startswith("urielplus"):
            raise
        raise InputError(
            "URIEL+ distances need the package urielplus",
            where="uriel",
            hint="Install it: pip install 'isogloss[uriel]', or leave uriel=False.",
        ) from None
    return module.URIELPlus()


@contextmanager
def _root_logger_as_it_was() -> Iterator[None]:
    """urielplus sets up the root logger when it is imported, and reports every step to it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    holder = logging.NullHandler()
    root.addHandler(holder)  # with a handler there, its basicConfig does nothing
    root.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
