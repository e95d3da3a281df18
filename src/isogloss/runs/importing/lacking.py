"""What a law will lack after an import: N, D, shares or finished models, with what to write into the mapping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from typing import Any

from isogloss.runs.importing.accounts import MetricAccount
from isogloss.runs.importing.expressions import number
from isogloss.runs.importing.guess import counts_tokens, setting_keys, tokens_of_step
from isogloss.runs.importing.guess_mixture import guess_mixture, table_of
from isogloss.runs.importing.join import NO_TOKENS
from isogloss.runs.importing.mapping import Mapping
from isogloss.runs.importing.names import guess_pattern
from isogloss.runs.importing.parts import Part
from isogloss.runs.importing.settings import amount
from isogloss.runs.importing.survey import Survey
from isogloss.runs.importing.toml import quoted

_SIZES = ("params_total", "params_non_embedding")
# As many settings as a person looks through.
_MOST = 500


def clues(
    row: AnyMapping[str, Any],
    exposure: Sequence[Any],
    metrics: Sequence[MetricAccount],
    settings: AnyMapping[str, Any],
) -> dict[str, Any]:
    """Of a run that lacks something, the settings where it may stand: numbers and tables."""
    no_tokens = any(NO_TOKENS in m.left_out for m in metrics)
    if exposure and not no_tokens and any(row.get(name) for name in _SIZES):
        return {}
    fit = {k: v for k, v in settings.items() if amount(v) is not None or table_of(v)}
    return dict(list(fit.items())[:_MOST])


def lacking(parts: Sequence[Part], mapping: Mapping, out: str) -> list[str]:
    """Sentences, the worst first; the lines after the first of each say what to do."""
    held = [part for part in parts if any(m.use.startswith("loss") for m in part.metrics)]
    said = [*_size(held, mapping), *lost_tokens(held, mapping), *_shares(held, mapping)]
    if said:
        said[-1] += f"\nWrite that into the mapping (the file of --map, else {out}/map.toml) and import again."
    return said + _finished(held, out)


def _size(parts: Sequence[Part], mapping: Mapping) -> list[str]:
    bare = [part for part in parts if not any((part.run or {}).get(name) for name in _SIZES)]
    if not bare:
        return []
    found = _survey(bare)
    lines = [f"params_total = {quoted(k)}" for k in setting_keys(found, "params_total")]
    lines += [f"params_non_embedding = {quoted(k)}" for k in setting_keys(found, "params_non_embedding")]
    lines += [f"params_total = {quoted(k)}" for k in found.settings if _may_be_size(k, found.settings[k])]
    if pattern := guess_pattern(found.names):
        lines.append(f"params_total = {{ name = {quoted(pattern)} }}")
    head = f"N, in {_of(bare, parts)}: no law can be fitted to them."
    return [_lack(head, mapping.run.params_total, "run", lines, 'params_total = "model.n_params"')]


def _may_be_size(name: str, values: Sequence[Any]) -> bool:
    """The name speaks of a size, and the values are as large as those of models."""
    sizes = [number(v) for v in values]
    speaks = any(word in name.casefold() for word in ("param", "model", "size"))
    return speaks and all(size is not None and 1e6 <= size <= 1e13 for size in sizes)


def lost_tokens(parts: Sequence[Part], mapping: Mapping) -> list[str]:
    """Of runs with points of which nobody can tell how many tokens were seen."""
    lost = {part.run_id: sum(m.left_out.get(NO_TOKENS, 0) for m in part.metrics) for part in parts}
    bare = [part for part in parts if lost[part.run_id]]
    if not bare:
        return []
    found = _survey(bare)
    metrics = dict.fromkeys(m.metric for part in bare for m in part.metrics if counts_tokens(m.metric))
    lines = [f"metric = {quoted(name)}" for name in metrics]
    lines += [f"per_step = {quoted(step)}"] if (step := tokens_of_step(found)) else []
    head = f"D, in {_of(bare, parts)}: {sum(lost.values()):,} points of losses are left out."
    said = mapping.tokens.metric or mapping.tokens.per_step or mapping.tokens.total
    return [
        _lack(
            head,
            said,
            "tokens",
            lines,
            'metric = "train/tokens", or per_step = "batch_size * seq_len", or total = "300B"',
        )
    ]


def _shares(parts: Sequence[Part], mapping: Mapping) -> list[str]:
    bare = [part for part in parts if not any(row.get("share") is not None for row in part.exposure)]
    if not bare:
        return []
    lines = [
        f"share = {quoted(guess.name)}" + (" and normalise = true" if guess.normalise else "")
        for guess in guess_mixture(_survey(bare))
        if guess.kind == "share"
    ]
    key = [mapping.mixture.share] if mapping.mixture.share else None
    head = f"shares of the languages, in {_of(bare, parts)}: laws of transfer and of mixtures cannot be fitted to them."
    return [_lack(head, key, "mixture", lines, 'share = "data.mixture.{language}"')]


def _finished(parts: Sequence[Part], out: str) -> list[str]:
    known = [part for part in parts if part.phases]
    bare = [part for part in known if not part.phases.get("final")]
    phases: Counter[str] = Counter()
    for part in bare:
        phases.update(part.phases)
    if not bare or not phases:
        return []
    phase = "stable" if phases["stable"] else "decay" if phases["decay"] else "warmup"
    command = f"isogloss fit {out} --law chinchilla --where lr_phase={phase}"
    head = f"a finished model, in {_of(bare, parts)}: no point at which the rate had fallen below a tenth of its peak."
    what = "A plain fit finds none" if len(bare) == len(parts) else "A plain fit leaves them out"
    return [f"{head}\n{what}. To fit points of the {phase} phase: {command}"]


def _lack(head: str, keys: Any, table: str, lines: Sequence[str], example: str) -> str:
    """`keys` are what the mapping names, `lines` what could be written into its `table` instead."""
    if keys:
        named = " or ".join(keys) if isinstance(keys, list) else getattr(keys, "name", str(keys))
        missed = f"They have no {named}."
    else:
        missed = "The mapping does not say where it stands."
    several = " or ".join(list(dict.fromkeys(lines))[:4])
    cure = f"Under [{table}]: {several}" if lines else f"No name looks like it. Under [{table}], for example: {example}"
    return f"{head} {missed}\n{cure}"


def _of(some: Sequence[Part], all_: Sequence[Part]) -> str:
    if len(all_) == 1:
        return "the only run"
    named = ", ".join(part.run_id for part in some[:3]) + (" ..." if len(some) > 3 else "")
    return f"all {len(all_)} runs" if len(some) == len(all_) else f"{len(some)} of {len(all_)} runs ({named})"


def _survey(parts: Sequence[Part]) -> Survey:
    found = Survey(len(parts), names=[part.name for part in parts])
    for part in parts:
        found.add_settings(part.clues)
    return found
