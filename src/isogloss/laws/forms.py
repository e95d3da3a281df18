"""Named forms of laws: which coefficients are held or freed, and the laws in users' own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isogloss.errors import InputError, unknown_name

if TYPE_CHECKING:
    from isogloss.laws.base import Law


@dataclass(frozen=True)
class Form:
    """One way to fit a law. What a user asks for beside it goes before it."""

    name: str
    law: type[Law]
    fix: Mapping[str, float] = field(default_factory=dict)
    free: tuple[str, ...] = ()
    sources: tuple[str, ...] | None = None
    """Transfer languages; none at all if empty, the law's own choice if None."""
    switches: Mapping[str, Any] = field(default_factory=dict)
    describes: str = ""


# Forms that differ from their law as `fit` takes it. The law's name comes first.
_FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "atlas-own": (
        "atlas",
        {"sources": (), "fix": {"tau_other": 0.0}, "describes": "ATLAS of the target's own tokens alone"},
    ),
    "atlas-other": (
        "atlas",
        {"sources": (), "describes": "ATLAS with all other languages as one, without named sources"},
    ),
    "atlas-capacity": ("atlas", {"free": ("phi",), "describes": "ATLAS with K^phi on the parameter term"}),
    "atlas-equal": (
        "atlas",
        {"switches": {"dose": "equal"}, "describes": "ATLAS, no source counted for more than the target has"},
    ),
    "k-law-count": (
        "k-law",
        {"switches": {"languages": "count"}, "describes": "the K law with K the number of languages"},
    ),
    "code-mixture-transfer": (
        "code-mixture",
        {"free": ("tau",), "describes": "the code law with a transfer coefficient for each pair"},
    ),
}


def forms() -> dict[str, tuple[str, str]]:
    """Every name that `get_form` takes, with its law and what is particular about it. Needs no JAX."""
    from isogloss.laws import _LAWS

    own = {name: (name, says) for name, (_, says) in _LAWS.items()}
    return {**own, **{name: (law, options["describes"]) for name, (law, options) in _FORMS.items()}}


def get_form(name: str) -> Form:
    """The form of this name; any law by its name, or by file and class ("mylaw.py:MyLaw"), as it stands."""
    from isogloss.laws import _ALIASES, get_law
    from isogloss.laws.own import is_reference, load_law

    if is_reference(name):
        law = load_law(name)
        return Form(law.name, law, describes=(law.__doc__ or "").strip().partition("\n")[0])
    key = name.strip().casefold().replace("_", "-").replace(" ", "-")
    if key in _FORMS:
        law, options = _FORMS[key]
        return Form(key, get_law(law), **options)
    if key not in _ALIASES:
        see = f"Laws: {', '.join(forms())}; or your own, as path/to/mylaw.py:MyLaw."
        raise unknown_name("law", name, [*_ALIASES, *_FORMS], see=see)
    law = get_law(key)
    return Form(law.name, law, describes=forms()[law.name][1])


def as_form(law: Form | type[Law] | str) -> Form:
    """What a user calls a law, as a form."""
    if isinstance(law, Form):
        return law
    if isinstance(law, str):
        return get_form(law)
    if not isinstance(law, type):
        raise InputError(f"{law!r} is no law", hint="Give a class, or a name such as 'chinchilla'.")
    return Form(law.name, law)
