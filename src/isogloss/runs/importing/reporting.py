"""What an import tells: the report of all parts, notes on what was assumed, and why nothing could be kept."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isogloss.errors import InputError, suggest
from isogloss.runs.importing.accounts import ImportReport
from isogloss.runs.importing.lacking import lacking, lost_tokens
from isogloss.runs.importing.mapping import FromName, Mapping
from isogloss.runs.importing.parts import Part


def build_report(
    said: str,
    out: Path,
    parts: Sequence[Part],
    mapping: Mapping,
    troubles: Sequence[AnyMapping[str, Any]],
    counts: tuple[int, int, int, int],
    guessed: bool,
    notes: Sequence[str] = (),
) -> ImportReport:
    """`counts` are new, changed, known and skipped runs of this import; `troubles` those of no run that was read;
    `notes` are those on the source."""
    languages: dict[str, str] = {}
    kept: set[str] = set()
    for part in parts:
        languages |= part.languages or {}
        kept |= set(part.kept_names)
    return ImportReport(
        said,
        str(out),
        tuple(part.account for part in parts),
        sum(part.points for part in parts),
        sorted({*languages.values(), *kept, *(loss.language for loss in mapping.losses.values() if loss.language)}),
        (*notes, *_notes(parts, mapping, languages, kept)),
        (*(dict(t) for part in parts for t in part.troubles), *troubles),
        *counts,
        guessed=guessed,
        lacking=tuple(lacking(parts, mapping, str(out))),
    )


def _notes(parts: Sequence[Part], mapping: Mapping, languages: AnyMapping[str, str], kept: set[str]) -> list[str]:
    renamed = [f"{name} = {code}" for name, code in sorted(languages.items()) if name != code]
    notes = [f"names read as languages: {', '.join(renamed)}."] if renamed else []
    if kept:
        notes.append(f"no language known to isogloss, kept as named: {', '.join(sorted(kept))}.")
    for name in type(mapping.run).model_fields:
        wanted = getattr(mapping.run, name)
        empty = sum((part.run or {}).get(name) is None for part in parts)
        if wanted is not None and empty and name != "notes":
            keys = " or ".join(wanted) if isinstance(wanted, list) else getattr(wanted, "name", "")
            notes.append(f"{name}: not found in {empty} of {len(parts)} runs ({keys}).")
        if isinstance(wanted, FromName):
            notes.append(f"{name}: read from the runs' names by {wanted.name}, where sizes are rounded: check them.")
    for name, loss in mapping.losses.items():
        if loss.is_perplexity:
            notes.append(f"{name}: {loss.unit}, kept as its logarithm, a loss in {loss.loss_unit}.")
    gone = [part.run_id for part in parts if part.gone]
    if gone:
        named = ", ".join(gone[:5]) + (" ..." if len(gone) > 5 else "")
        notes.append(f"no longer in the source, and kept: {named} ({len(gone)} runs).")
    counts: dict[str, int] = {}
    for part in parts:
        for note in part.notes:
            kind = _kind(note)
            counts[kind] = counts.get(kind, 0) + 1
    return notes + [f"{kind} ({count} of {len(parts)} runs)." for kind, count in counts.items()]


def _kind(note: str) -> str:
    """Notes of many runs that differ in a step only are told once."""
    head, found, _ = note.partition(" begins anew at step ")
    return f"{head} begins anew after a resume: what was seen before is added" if found else note


def nothing_kept(
    said: str, mapping: Mapping, parts: Sequence[Part], skipped: int, troubles: Sequence[AnyMapping[str, Any]]
) -> InputError:
    """No point was kept: why, with the names that are there."""
    metrics = dict.fromkeys(metric.metric for part in parts for metric in part.metrics)
    used = [metric for part in parts for metric in part.metrics if metric.use]
    if not parts:
        hint = f"{skipped} runs are left out by [runs] match and skip." if skipped else "No run can be read."
        hint += "".join(f"\n  {t['where']}: {t['what']}" for t in troubles[:5])
        return InputError("no run is taken", where=said, hint=hint)
    if any(metric.use.startswith("loss") for metric in used):
        reasons: dict[str, int] = {}
        for metric in used:
            for why, count in metric.left_out.items():
                reasons[why] = reasons.get(why, 0) + count
        counted = ", ".join(f"{why} ({count} points)" for why, count in reasons.items())
        hint = f"Why: {counted or 'the metrics are empty'}."
        hint += "".join(f"\n  {line}" for text in lost_tokens(parts, mapping) for line in text.split("\n"))
        return InputError("no point of a loss can be kept", where=said, hint=hint)
    near = dict.fromkeys(name for loss in mapping.losses for name in suggest(loss, metrics))
    shown = list(near or metrics)
    more = f" and {len(shown) - 12} more" if len(shown) > 12 else ""
    hint = f"{'Near ones' if near else 'Its metrics'}: {', '.join(shown[:12])}{more}." if shown else "No run has any."
    return InputError(f"no metric fits {', '.join(mapping.losses)}", where=said, hint=hint)
