"""laws and languages: what is known before any run."""

from __future__ import annotations

from isogloss.cli.output import Json, console, number, print_json, print_table


def laws(name: str | None = None, *, json: Json = False) -> None:
    """Laws that can be fitted, and published laws: coefficients, source, range, and what contradicts them.

    Parameters
    ----------
    name
        Show only entries whose id contains this, in full where it is one.
    json
        Print the whole answer as JSON and nothing else.
    """
    from dataclasses import asdict

    from isogloss.errors import unknown_name
    from isogloss.laws import entries, forms

    found = [e for e in entries() if name is None or name.casefold() in e.id.casefold()]
    if not found and name is not None:
        raise unknown_name("published law", name, [e.id for e in entries()], see="`isogloss laws` lists them all.")
    if json:
        print_json({"laws": [asdict(e) for e in found]})
        return
    if len(found) == 1:
        _print_entry(found[0])
        return
    rows = [[e.id, e.law or "-", e.range, e.source] for e in found]
    print_table(f"{len(found)} published laws", ["id", "fitted by --law", "range", "source"], rows, left=4)
    if name is None:
        known = forms()
        rows = [[form, law if law != form else "", says] for form, (law, says) in known.items()]
        print_table(f"\n{len(known)} laws and forms for --law", ["--law", "a form of", "what it says"], rows, left=3)
        console().print("\nYour own: --law path/to/mylaw.py:MyLaw", markup=False)
    console().print("\nOne in full: isogloss laws <id>", markup=False)


def _print_entry(entry) -> None:
    out = console()
    out.print(f"{entry.id}: {entry.name}", style="bold", markup=False, soft_wrap=True)
    for label, text in (
        ("equation", entry.equation),
        ("source", entry.source),
        ("range", entry.range),
        ("languages", ", ".join(entry.languages or ()) or "not stated"),
        ("loss", entry.loss_unit or "unit not stated"),
        ("N counts", entry.params_counted or "not stated"),
        ("not published", ", ".join(entry.missing) or "nothing"),
        ("fitted by", f"--law {entry.law}" if entry.law else "no law class in isogloss yet"),
        ("notes", entry.notes),
    ):
        if text:
            out.print(f"  {label}: {text}", markup=False, soft_wrap=True)
    numbers = {**entry.coefficients, **entry.constants}
    rows = [[k, number(v, 6), number(entry.standard_errors.get(k))] for k, v in numbers.items()]
    if rows:
        print_table("", ["coefficient", "value", "standard error"], rows)
    for conflict in entry.conflicts:
        out.print("  ! ", end="", style="yellow")
        out.print(conflict, markup=False, soft_wrap=True)


def languages(query: str, *, limit: int = 10, json: Json = False) -> None:
    """Find languages by code, name or family, with how much public text each has.

    Parameters
    ----------
    query
        A code (sw, swh, swh_Latn, pt-BR), an English name, or a family.
    limit
        How many to show.
    json
        Print the whole answer as JSON and nothing else.
    """
    from dataclasses import asdict

    from isogloss.errors import InputError
    from isogloss.languages import resolve, search, tokens_available
    from isogloss.units import format_quantity

    found = search(query, limit)
    if not found:
        resolve(query)  # raises with near misses
        raise InputError(f"no language matches {query!r}")
    texts = {language.code: tokens_available(language.code) for language in found}
    if json:
        answer = [{**asdict(language), "text": _text(texts[language.code])} for language in found]
        print_json({"languages": answer})
        return
    rows = []
    for language in found:
        text = texts[language.code]
        rows.append(
            [
                language.code,
                language.name,
                language.family or "-",
                language.script_name,
                "" if language.utf8_bytes is None else format_quantity(language.utf8_bytes, "bytes"),
                "" if text is None else format_quantity(text.tokens),
                "" if text is None else text.kind,
                number(language.byte_premium, 3),
            ]
        )
    headers = ["code", "name", "family", "script", "text", "tokens", "evidence", "byte premium"]
    print_table("", headers, rows, left=4)


def _text(estimate) -> dict | None:
    from dataclasses import asdict

    return None if estimate is None else asdict(estimate)
