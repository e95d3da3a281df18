"""Laws in users' own files: found by path and class name, and known again by the text of the file."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from isogloss.errors import InputError, unknown_name
from isogloss.laws.base import Law


def is_reference(name: str) -> bool:
    """Whether a name means a class in a file, "path/to/mylaw.py:MyLaw"."""
    path, colon, _ = name.rpartition(":")
    return name.endswith(".py") or bool(colon and path.endswith(".py"))


def load_law(reference: str, *, text_hash: str | None = None) -> type[Law]:
    """The class that "path/to/mylaw.py:MyLaw" means; the same object for the same text.

    With `text_hash`, the file must still have the text that it had then. The file is run: give only your own.
    """
    path, _, name = reference.rpartition(":") if not reference.endswith(".py") else (reference, "", "")
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"there is no file {path}", where=f"law {reference}", hint="Give path/to/mylaw.py:MyLaw.")
    text = file.read_bytes()
    found = hashlib.sha256(text).hexdigest()
    if text_hash is not None and found != text_hash:
        raise InputError(
            f"{path} is not as it was when this law was fitted",
            where=f"law {reference}",
            hint="Fit again, or bring back the file as it was.",
        )
    laws = {k: v for k, v in vars(_run(file, found)).items() if isinstance(v, type)}
    known = [k for k, v in laws.items() if issubclass(v, Law) and v.__module__ == _module_name(file, found)]
    if not name:
        raise InputError(
            f"which law of {path}?", where="law", hint=f"Say {path}:{known[0] if len(known) == 1 else 'MyLaw'}."
        )
    if name not in laws:
        raise unknown_name(f"law in {path}", name, known)
    law = laws[name]
    if not issubclass(law, Law) or law is Law:
        raise InputError(
            f"{name} is no law", where=path, hint=f'Begin it with class {name}(Law, name="...", source="..."):'
        )
    law.file, law.file_hash = f"{file.resolve()}:{name}", found
    return law


def _module_name(file: Path, text_hash: str) -> str:
    place = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]
    return f"_isogloss_law_{file.stem}_{place}_{text_hash[:12]}"


def _run(file: Path, text_hash: str) -> ModuleType:
    """The file as a module of a private name, run once for each text that it had."""
    name = _module_name(file, text_hash)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        # Not by the loader's cache of compiled files, which goes by time: a file saved twice in a second differs.
        exec(compile(file.read_bytes(), str(file.resolve()), "exec", dont_inherit=True), vars(module))
    except Exception as error:
        del sys.modules[name]
        raise InputError(f"{type(error).__name__}: {error}", where=place_of(error, file)) from error
    return module


def place_of(error: Exception, file: str | Path) -> str:
    """The line of a user's file at which an error arose."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"{file}, line {error.lineno}: {(error.text or '').strip()}"
    inside = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == Path(file).resolve()]
    return f"{file}, line {inside[-1].lineno}: {inside[-1].line}" if inside else str(file)
