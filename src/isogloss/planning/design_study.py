"""A design as a study.toml that the lab runs unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isogloss.planning.design_answer import Design, DesignRun
from isogloss.planning.design_runs import DECAY, Setting
from isogloss.units import format_quantity

# Steps over which the rate rises, as in a study's defaults.
WARMUP_STEPS = 25


def study_toml(design: Design, languages: Mapping[str, Mapping[str, Any]]) -> str:
    """The file's text; `languages` holds each language's table, such as {"ekk_Latn": {"text": "et.txt"}}."""
    setting = design.setting
    lines = [
        f"# Runs that are expected to lower this plan's regret from {design.before.mean:.3%} to "
        f"{design.after.mean:.3%}, for {format_quantity(design.flops, 'flops')}.",
        "#   isogloss study dry-run .   every run with its cost, and nothing trained",
        "#   isogloss study run .       trains them; the table is what isogloss fit reads",
        f"title = {_text(design.title or 'Design')}",
        "",
    ]
    for code in design.languages:
        lines += [f"[languages.{code}]", *(f"{k} = {_value(v)}" for k, v in languages[code].items()), ""]
    lines += [*_tokenizer(setting), "", *_training(setting), ""]
    for run in design.runs:
        lines += [*_block(design, run), ""]
    return "\n".join(lines)


def _tokenizer(setting: Setting) -> Iterator[str]:
    yield "[tokenizer]"
    if setting.vocab_size is None:
        yield 'kind = "bytes"'
        return
    yield 'kind = "sentencepiece"'
    yield f"vocab_size = {setting.vocab_size}"


def _training(setting: Setting) -> Iterator[str]:
    yield "[training]"
    yield f"context_length = {setting.context_length}"
    yield f"batch_tokens = {setting.batch_tokens}"
    yield f"warmup = {WARMUP_STEPS * setting.batch_tokens}"
    yield f"decay = {DECAY}"


def _block(design: Design, chosen: DesignRun) -> Iterator[str]:
    run = chosen.run
    shares = design.shares_of(run)
    yield f"# Without it the expected regret would be {chosen.gain:.1%} higher; {chosen.flops:.2g} FLOPs."
    yield "[[runs]]"
    if len(shares) == 1:
        yield 'mixture = "monolingual"'
        yield f"languages = {_value(list(shares))}"
    elif run.mixture.kind == "pair":
        yield 'mixture = "pairs"'
        yield f"pairs = [{_value(list(shares))}]"
    else:
        yield 'mixture = "shares"'
        yield f"shares = {{{', '.join(f'{c} = {p:.6g}' for c, p in shares.items())}}}"
    yield f"sizes = {_value([run.rung])}"
    yield f"tokens = {_value(list(run.tokens))}"
    yield f"seeds = {_value(list(chosen.seeds))}"
    unique = design.unique_of(run)
    if unique:
        yield f"unique = {{{', '.join(f'{c} = {u}' for c, u in unique.items())}}}"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return f"{value:_}" if isinstance(value, int) and not isinstance(value, bool) else str(value).lower()


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'
