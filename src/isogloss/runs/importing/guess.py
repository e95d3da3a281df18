"""A mapping proposed from the names that are found over all runs, as TOML for editing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from isogloss.runs.columns import meaning
from isogloss.runs.importing.expressions import number
from isogloss.runs.importing.guess_losses import KIND, LossGuess, guess_losses
from isogloss.runs.importing.guess_mixture import guess_mixture
from isogloss.runs.importing.logged import Source
from isogloss.runs.importing.names import guess_pattern
from isogloss.runs.importing.survey import Progress, Survey, quiet, survey
from isogloss.runs.importing.toml import key, quoted, to_toml, value
from isogloss.stores import shown

_COUNTER = re.compile(
    r"((num|n|total|train|training|consumed|seen|cumulative)_?)*(input_)?tokens(_?(seen|consumed|processed|total|trained))?"
    r"(_?(?P<scale>b|m|billions?|millions?))?|d",
    re.IGNORECASE,
)
_SCALES = {"b": "1e9", "m": "1e6"}
_RATES = re.compile(r"(learning_?rate|lr)(-.*)?", re.IGNORECASE)
_COLUMNS = {
    "params_total": "N with embeddings",
    "params_non_embedding": "N without embeddings",
    "batch_tokens": "",
    "context_length": "",
    "vocab_size": "",
    "tokenizer": "",
    "seed": "",
    "schedule": "",
    "init": "",
}
_MORE = {
    "schedule": {"lr_scheduler_type", "scheduler", "lr_schedule"},
    "tokenizer": {"tokenizer_name", "tokenizer_path", "tokenizer_name_or_path"},
    "learning_rate": {"learning_rate", "lr", "max_lr", "peak_lr"},
    "params_total": {"model_num_parameters"},
}
_PER_STEP = {"batch_tokens", "tokens_per_batch", "batch_size_tokens", "tokens_per_step", "global_batch_tokens"}
_BATCH = ("global_batch_size", "total_train_batch_size", "train_batch_size", "batch_size")
_PER_DEVICE = ("per_device_train_batch_size", "micro_batch_size", "device_batch_size")
_DEVICES = ("world_size", "num_devices", "devices", "n_gpus", "num_gpus")
_ACCUMULATED = ("gradient_accumulation_steps", "grad_accum_steps", "accumulate_grad_batches")
_STEPS = frozenset({"global_step", "optimizer_step", "train_step", "iteration", "iter"})
_LENGTH = ("seq_len", "seq_length", "sequence_length", "context_length", "max_seq_len", "block_size", "n_ctx")


@dataclass
class Guess:
    """`toml` is the mapping with comments; `missing` says what nobody can tell from names and values."""

    toml: str
    missing: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    """What was not found and an import can do without, but a law cannot."""


def guess_mapping(source: Source, *, progress: Progress = quiet) -> Guess:
    """Reads every run of the source once, unless the source knows its mapping."""
    own = getattr(source, "mapping", None)
    if own is not None:
        return Guess(to_toml(own))
    return guess_from(survey(source, progress), shown(source.said))


def guess_from(found: Survey, said: str) -> Guess:
    out: list[str] = [f"# A mapping proposed for {said} ({found.runs} runs). Every key: docs/import.md.", ""]
    missing: list[str] = []
    lacking: list[str] = []
    _losses(found, out, missing)
    _tokens(found, out, missing)
    _run(found, out, lacking)
    _mixture(found, out, lacking)
    if rate := _best(found, (n for n in found.metrics if _RATES.fullmatch(_tail(n)))):
        out += ["[learning_rate]  # tells warmup, stable, decay and final points", f"metric = {quoted(rate)}", ""]
    return Guess("\n".join(out), missing, lacking)


def _losses(found: Survey, out: list[str], missing: list[str]) -> None:
    vocabularies = {v for k in setting_keys(found, "vocab_size") for x in found.settings[k] if (v := number(x))}
    losses = guess_losses(found, sorted(vocabularies))
    out += ["[losses]"]
    if not losses:
        names = list(found.metrics)
        shown = ", ".join(names[:30]) + (" ..." if len(names) > 30 else "")
        missing.append(f"which metrics are losses: no name looks like one (metrics: {shown or 'none'})")
        out += [f"# Metrics: {shown}", '# "eval/{language}/loss" = "nats/token"']
    language = next((k for k in found.settings if _tail(k) in ("language", "lang", "target_language")), None)
    for loss in losses:
        errors = all(f"{metric}_stderr" in found.metrics for metric in loss.metrics)
        out += _loss_lines(loss, language, errors, missing)
    out.append("")


def _loss_lines(loss: LossGuess, language: str | None, errors: bool, missing: list[str]) -> list[str]:
    unit = quoted(loss.unit) if loss.unit else '""'
    more = f", stderr = {quoted(loss.name + '_stderr')}" if errors else ""
    if loss.unit is None:
        missing.append(f"the unit of {loss.name}: {loss.why}")
    ask = f"fill in the unit: {loss.why}" if loss.unit is None else f"{loss.unit}: {loss.why}"
    if loss.many:
        names = dict.fromkeys(loss.languages)
        shown = ", ".join(list(names)[:6]) + (" ..." if len(names) > 6 else "")
        return [
            f"# {len(names)} names: {shown}; {ask}",
            f"{key(loss.name)} = {{ unit = {unit}{more} }}" if more else f"{key(loss.name)} = {unit}",
        ]
    if language is not None:
        return [f"# {ask}", f"{key(loss.name)} = {{ language_from = {quoted(language)}, unit = {unit}{more} }}"]
    missing.append(f"the language of {loss.name}")
    return [f"# fill in the language; {ask}", f'{key(loss.name)} = {{ language = "", unit = {unit}{more} }}']


def _tokens(found: Survey, out: list[str], missing: list[str]) -> None:
    out.append("[tokens]")
    rising = [n for n, facts in found.metrics.items() if counts_tokens(n) and 2 * facts.rising > facts.runs]
    counter, per_step = _best(found, rising), tokens_of_step(found)
    if counter:
        match = _COUNTER.fullmatch(_tail(counter))
        scale = (match["scale"] or "").casefold() if match else ""
        out.append(f"metric = {quoted(counter)}")
        if scale:
            out.append(f"scale = {_SCALES[scale[0]]}  # by its name it counts {scale}")
    elif not per_step:
        total = next((k for k in found.settings if meaning(_tail(k)) == "tokens"), None)
        if total and all(facts.points == facts.runs for n, facts in found.metrics.items() if KIND.search(n)):
            out.append(f"total = {quoted(total)}  # D of runs with one evaluation")
        else:
            missing.append(f"D: no counter of tokens among the metrics, and {_no_step(found)}")
            out.append('# metric = "train/tokens", or per_step = "batch_size * seq_len" for steps x batch tokens,')
            out.append(
                '# or total = "tokens_trained", a setting or a number such as "100B", of runs with one evaluation'
            )
    steps = _best(found, (n for n, f in found.metrics.items() if _tail(n) in _STEPS and 2 * f.rising > f.runs))
    if per_step and not counter and steps:
        # The tracker's own step may count calls of its log.
        out += [f"metric = {quoted(steps)}  # steps of training", f"scale = {quoted(per_step)}  # tokens of one"]
    elif per_step and not counter:
        out += [f"per_step = {quoted(per_step)}  # D = steps x this; check that no factor is left out"]
    of_device = per_step is not None and any(p in per_step for p in _PER_DEVICE)
    if not counter and per_step and of_device and not any(d in per_step for d in _DEVICES):
        missing.append(f"the number of devices, by which {per_step} is to be multiplied")
    out.append("")


def tokens_of_step(found: Survey) -> str | None:
    """A product of settings, by their names."""
    tails: dict[str, str] = {}
    for k, values in found.settings.items():
        if any(number(v) is not None for v in values):
            tails.setdefault(_tail(k), k)
    direct = next((tails[t] for t in tails if t in _PER_STEP), None)
    if direct:
        return direct
    length = next((tails[t] for t in _LENGTH if t in tails), None)
    batch = next((tails[t] for t in _BATCH if t in tails), None)
    if length is None:
        return None
    if batch is not None:
        factors = [batch]
    elif device := next((tails[t] for t in _PER_DEVICE if t in tails), None):
        others = (next((tails[t] for t in words if t in tails), None) for words in (_ACCUMULATED, _DEVICES))
        factors = [device, *(f for f in others if f)]
    else:
        return None
    return " * ".join(_factor(f) for f in (*factors, length))


def _no_step(found: Survey) -> str:
    """Why the tokens of a step cannot be told."""
    tails = {_tail(k): k for k in found.settings}
    batch = next((tails[t] for t in (*_BATCH, *_PER_DEVICE) if t in tails), None)
    return f"beside {batch} no length of sequences in the settings" if batch else "no batch size in the settings"


def counts_tokens(metric: str) -> bool:
    """By its name."""
    return _COUNTER.fullmatch(_tail(metric)) is not None


def _factor(name: str) -> str:
    return name if all(part.isidentifier() for part in name.split(".")) else f"'{name}'"


def _run(found: Survey, out: list[str], lacking: list[str]) -> None:
    out.append("[run]")
    lines: list[str] = []
    for column, comment in {**_COLUMNS, "learning_rate": "the peak"}.items():
        keys = setting_keys(found, column)
        if keys:
            lines.append(f"{column} = {value(keys)}" + (f"  # {comment}" if comment else ""))
    if any(line.startswith("params_") for line in lines):
        pass
    elif pattern := guess_pattern(found.names):
        shown = ", ".join(found.names[:3]) + (" ..." if len(found.names) > 3 else "")
        lines.append(f"# N by the names of the runs ({shown}): check it. Names are rounded, and do not say whether")
        lines.append("# embeddings are in it; if not, write params_non_embedding.")
        lines.append(f"params_total = {{ name = {quoted(pattern)} }}")
    else:
        lacking.append("N, without which no law can be fitted: params_total or params_non_embedding")
        lines.append('# params_total = "..."  # N: a law needs it; a key of the settings, or a number')
    out += [*lines, ""]


def setting_keys(found: Survey, column: str) -> list[str]:
    """Settings that mean a column of the run table, those of most runs first."""
    words = _MORE.get(column, set())
    keys = [k for k in found.settings if meaning(_tail(k)) == column or _tail(k) in words]
    if column not in ("tokenizer", "seed", "schedule", "init"):
        keys = [k for k in keys if any(number(v) is not None for v in found.settings[k])]
    return sorted(keys, key=lambda k: -found.setting_runs[k])[:3]


def _mixture(found: Survey, out: list[str], lacking: list[str]) -> None:
    guesses = {guess.kind: guess for guess in guess_mixture(found)}
    out.append("[mixture]")
    if share := guesses.get("share"):
        out.append(f"share = {quoted(share.name)}")
        if share.normalise:
            out.append("normalise = true  # weights: they do not sum to 1")
    else:
        lacking.append("shares of the languages, which laws of transfer and of mixtures need: share")
        out.append('# share = "data.mixture.{language}"  # of the sampled tokens')
    out += [f"{kind} = {quoted(g.name)}" for kind, g in guesses.items() if kind != "share"]
    out.append("")


def _best(found: Survey, names: Iterable[str]) -> str | None:
    return max(names, key=lambda n: (found.metrics[n].runs, found.metrics[n].points), default=None)


def _tail(name: str) -> str:
    return re.split(r"[./]", name)[-1].casefold()
