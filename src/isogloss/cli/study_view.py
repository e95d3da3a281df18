"""How a study looks: its text and runs before, its progress while it trains, its table after."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from isogloss.cli.output import console, number, print_table, print_warnings

if TYPE_CHECKING:
    from isogloss.sweeps.prepared import Prepared
    from isogloss.sweeps.rehearse import Rehearsal
    from isogloss.sweeps.status import Clock, RunStatus, Survey

_ROWS = 40


@contextmanager
def view(look: Callable[[], Survey], *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Yields watch(): a live view on a terminal, else a line now and then. Looks at most every two seconds."""
    from isogloss.sweeps.status import Clock

    out = Console(stderr=True, highlight=False)
    clock = Clock(look())
    looked = printed = 0.0
    shown = Live(console=out, transient=True, auto_refresh=False) if sys.stderr.isatty() and not quiet else None

    def watch() -> None:
        nonlocal looked, printed
        now = time.monotonic()
        if now - looked < 2:
            return
        looked, found = now, look()
        if shown:
            shown.update(_live(found, clock), refresh=True)
        elif not quiet and now - printed >= 30:
            printed = now
            out.print(summary(found, clock), markup=False, soft_wrap=True)

    if shown:
        with shown:
            yield watch
    else:
        yield watch


def _live(found: Survey, clock: Clock) -> Group:
    table = Table(box=None, pad_edge=False, header_style="bold")
    headers, rows = run_rows(found.at_work)
    for i, header in enumerate(headers):
        table.add_column(header, justify="left" if i < 3 else "right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return Group(Text(summary(found, clock)), table)


def summary(found: Survey, clock: Clock | None = None) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in found.counts.items())
    text = f"{len(found.runs)} runs: {counts}; {found.tokens / max(found.of, 1):.0%} of the tokens"
    pace = clock.tokens_per_second(found) if clock else None
    if clock and pace:
        text += f", {pace / 1e3:.1f}k tokens/s, {duration(clock.seconds_left(found))} left"
    return text


def run_rows(runs: Sequence[RunStatus]) -> tuple[list[str], list[list[str]]]:
    headers = ["run", "what", "state", "done", "tok/s", "loss", "bits/byte"]
    rows = [
        [
            r.run_id[:8],
            r.label,
            r.state,
            f"{r.done:.0%}",
            "" if r.tokens_per_second is None else f"{r.tokens_per_second / 1e3:.1f}k",
            number(r.loss),
            number(r.bits_per_byte),
        ]
        for r in runs
    ]
    return headers, rows


def print_corpus(prepared: Prepared) -> None:
    from isogloss.units import format_quantity

    corpus = prepared.corpus
    rows = [
        [
            code,
            f"{text.documents:,}",
            format_quantity(text.bytes, "bytes"),
            format_quantity(text.tokens),
            f"{text.bytes / text.tokens:.2f}",
            f"{len(text.eval_bytes):,}",
            format_quantity(int(text.eval_bytes.sum()), "bytes"),
        ]
        for code, text in corpus.languages.items()
    ]
    headers = ["language", "documents", "text", "tokens", "bytes/token", "held out", "of bytes"]
    print_table(f"Text under {corpus.tokenizer.kind} ({corpus.vocab_size:,} ids)", headers, rows)


def print_rehearsal(found: Rehearsal) -> None:
    from isogloss.sweeps.status import mixture_label
    from isogloss.units import format_quantity

    rows = [
        [
            mixture_label(r.shares) + (" from a start" if r.init else ""),
            r.state,
            format_quantity(r.params_total),
            format_quantity(r.params_non_embedding),
            " ".join(format_quantity(e, digits=2) for e in r.ends),
            f"{max(r.epochs.values()):.2g}",
            str(r.seed),
            f"{r.flops:.1e}",
            duration(r.seconds),
        ]
        for r in found.runs[:_ROWS]
    ]
    headers = ["mixture", "state", "N", "non-emb.", "D", "epochs", "seed", "FLOPs", "time"]
    print_table("", headers, rows, left=2, whole=headers[1:])
    if len(found.runs) > _ROWS:
        console().print(f"... and {len(found.runs) - _ROWS} more; --json lists them all.", markup=False)
    left = sum(r.state not in ("finished", "diverged") for r in found.runs)
    text = (
        f"\n{len(found.runs)} runs, {left} to train: {found.flops:.3g} FLOPs, about {duration(found.seconds)} with "
        f"{found.workers} workers on {found.device} in {found.precision}; "
        f"{format_quantity(found.disk_bytes, 'bytes')} of disk for finished models"
    )
    if found.cost is not None:
        text += f"; {found.cost:.2f} at the price given"
    console().print(text + ".", markup=False, soft_wrap=True)
    if found.orphans:
        print_warnings([f"{found.orphans} runs in the folder do not belong to study.toml; they are kept."])


def print_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {state}" for state, count in manifest["runs"].items())
    text = (
        f"Wrote the run table of {folder}: {counts}; {manifest['evals']} losses. Next: isogloss fit {folder} --law ..."
    )
    console().print(text, markup=False, soft_wrap=True)
    if manifest["others"]:
        print_warnings([f"{len(manifest['others'])} runs in the folder do not belong to study.toml: not in the table."])


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"
