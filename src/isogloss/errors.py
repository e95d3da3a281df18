"""The few errors that isogloss raises, and the near-miss suggestions that go with them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

_rewrites: list[Callable[[str], str]] = []


def rewrite_places(how: Callable[[str], str]) -> None:
    """From now on messages go through `how`: local copies of remote objects are told by their URLs."""
    if how not in _rewrites:
        _rewrites.append(how)


class InputError(ValueError):
    """The user's input cannot be used. Says what is wrong, the value, where it stands and what to do.

    `where` names the file, row, column, key or argument; `hint` says what to do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None):
        for how in _rewrites:
            what, where, hint = how(what), where and how(where), hint and how(hint)
        self.what, self.where, self.hint = what, where, hint
        message = f"{where}: {what}" if where else what
        super().__init__(f"{message}\n  {hint}" if hint else message)


@contextmanager
def located(where: str) -> Iterator[None]:
    """Put `where` before the place that any InputError from the block names."""
    try:
        yield
    except InputError as error:
        place = f"{where}, {error.where}" if error.where else where
        raise InputError(error.what, where=place, hint=error.hint) from None


class FitError(Exception):
    """The runs were read, but no usable fit came of them."""


class PlanError(Exception):
    """The question was read, but no plan answers it."""


def suggest(name: str, known: Iterable[str], *, n: int = 3) -> list[str]:
    """The names in `known` nearest to `name`, ignoring case, best first."""
    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.casefold(), candidate)
    close = difflib.get_close_matches(name.casefold(), folded, n=n, cutoff=0.6)
    return [folded[key] for key in close]


def unknown_name(
    kind: str, name: str, known: Iterable[str], *, where: str | None = None, see: str | None = None
) -> InputError:
    """An InputError for a name that is not in `known`, with near misses, else what exists."""
    known = list(known)
    close = suggest(name, known)
    if close:
        hint = f"Did you mean {' or '.join(repr(c) for c in close)}?"
    elif known and len(known) <= 12:
        hint = f"Known: {', '.join(sorted(known))}."
    else:
        hint = ""
    if see:
        hint = f"{hint} {see}".strip()
    return InputError(f"unknown {kind} {name!r}", where=where, hint=hint or None)
