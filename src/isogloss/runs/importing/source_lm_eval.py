"""lm-evaluation-harness: `results_*.json` in a tree, a run per model, a point per file, task and metric."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isogloss.errors import InputError
from isogloss.runs.importing.logged import Columns, LoggedRun, Trouble, flat
from isogloss.runs.importing.source_parts import NotScalars, stamp

# In names of checkpoints, revisions and folders: checkpoint-500, step1000, global_step_2000, step=3, iter_0004000.
_STEP = re.compile(r"(?:^|(?<=[^a-z]))(?:checkpoint|ckpt|global_?step|steps?|iter(?:ation)?)[-_=]?(\d+)(?!\d)", re.I)
_FILES = "results*.json"
# One of them stands beside `results` in every release.
_OWN = {"config", "configs", "model_name"}


def holds(path: Path) -> bool:
    if path.is_file():
        return path.match(_FILES) and _results(path) is not None
    return any(_results(file) is not None for file in sorted(path.rglob(_FILES)))


def _results(file: Path) -> dict[str, Any] | None:
    try:
        return _load(file)
    except InputError:
        return None


def _load(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        what = f"cannot be read, it may be half-written: {error}"
        raise InputError(what, where=str(file), hint="Import again once it is whole.") from None
    if not isinstance(found, dict) or not isinstance(found.get("results"), dict) or not _OWN & found.keys():
        raise InputError("is no result of lm-evaluation-harness", where=str(file), hint="It needs results and config.")
    return found


@dataclass
class LmEval:
    """Results under a path. The step is that of the model's name, revision or path, 0 where none says it; files that
    differ in it only are points of one run. Metrics are `task/metric` and `task/metric_stderr`."""

    path: Path
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def said(self) -> str:
        return f"lm-eval: {self.path}"

    def entries(self) -> Iterator[EvaluatedModel]:
        self.troubles.clear()
        files = [self.path] if self.path.is_file() else sorted(self.path.rglob(_FILES))
        if not files:
            raise InputError(f"holds no {_FILES}", where=str(self.path))
        models: dict[str, list[tuple[int, float, Path]]] = {}
        for file in files:
            try:
                found = _load(file)
            except InputError as error:
                self.troubles.append(Trouble(error.where or str(file), error.what, error.hint or ""))
                continue
            inside = file.parent.relative_to(self.path).as_posix() if self.path.is_dir() else file.parent.name
            name, step = _model(found, inside)
            models.setdefault(name, []).append((step, _date(found), file))
        for name, points in sorted(models.items()):
            yield EvaluatedModel(name, tuple(sorted(points)))


def _date(found: Mapping[str, Any]) -> float:
    date = found.get("date")
    return float(date) if isinstance(date, int | float) else 0.0


def _model(found: Mapping[str, Any], folder: str) -> tuple[str, int]:
    """What was evaluated, without its step, and the step."""
    arguments = _arguments(found)
    name = str(found.get("model_name") or arguments.get("pretrained") or arguments.get("model") or folder)
    told = [
        name,
        str(arguments.get("revision") or ""),
        *(str(arguments.get(key) or "") for key in ("pretrained", "peft")),
        folder,
    ]
    steps = [int(match[-1]) for text in told if (match := _STEP.findall(text))]
    revision = told[1] if told[1] and not _STEP.search(told[1]) and told[1] != "main" else ""
    bare = _STEP.sub("", name).replace("//", "/").strip("/-_. ") or folder
    # The same model, evaluated with an adapter or in another precision, is another run.
    more = [
        f"{k}={_STEP.sub('', str(arguments[k])).rstrip('/-_')}"
        for k in ("peft", "dtype", "delta", "gguf_file")
        if arguments.get(k)
    ]
    return " ".join([bare, *([revision] if revision else []), *more]), steps[0] if steps else 0


def _arguments(found: Mapping[str, Any]) -> dict[str, Any]:
    """model_args: a table, or in older releases the text "pretrained=x,revision=y"."""
    config = found.get("config")
    raw = config.get("model_args") if isinstance(config, dict) else None
    if isinstance(raw, dict):
        return raw
    pairs = (part.partition("=") for part in str(raw or "").split(","))
    return {key.strip(): value.strip() for key, sign, value in pairs if sign}


@dataclass(frozen=True)
class EvaluatedModel:
    key: str
    points: tuple[tuple[int, float, Path], ...]
    """Step, date and file; of two results at one step the later one is logged later."""

    @property
    def version(self) -> str:
        return f"{len(self.points)} " + stamp(file for _, _, file in self.points)

    def read(self) -> LoggedRun:
        columns, other = Columns(), NotScalars()
        troubles: list[Trouble] = []
        config: dict[str, Any] = {}
        for step, date, file in self.points:
            try:
                found = _load(file)
            except InputError as error:
                troubles.append(Trouble(error.where or str(file), error.what, error.hint or ""))
                continue
            _scores(found, step, date or float("nan"), columns, other)
            config |= _settings(found)
        troubles += other.troubles(str(self.points[0][2].parent))
        return LoggedRun(self.key, self.key, "finished", config, columns.series(), troubles)


def _scores(found: Mapping[str, Any], step: int, date: float, columns: Columns, other: NotScalars) -> None:
    """Of tasks, and of groups that stand nowhere else."""
    groups = found.get("groups")
    tasks = {**(groups if isinstance(groups, dict) else {}), **found["results"]}
    for task, scores in tasks.items():
        for name, value in scores.items() if isinstance(scores, dict) else ():
            # "acc_norm,none": the metric and the filter of the answers; a stderr that was not computed is "N/A".
            metric, _, kind = name.partition(",")
            full = f"{task}/{metric}" + (f",{kind}" if kind not in ("", "none") else "")
            if isinstance(value, int | float) and not isinstance(value, bool):
                columns.add(full, step, float(value), date)
            elif name not in ("alias", "name", "sample_len") and value not in ("N/A", None, "", " "):
                other.add(full)


def _settings(found: Mapping[str, Any]) -> dict[str, Any]:
    config = flat(found.get("config") or {})
    config |= {f"model_args.{key}": value for key, value in _arguments(found).items()}
    shots = found.get("n-shot")
    config |= {f"n-shot.{task}": n for task, n in shots.items()} if isinstance(shots, dict) else {}
    names = ("model_name", "model_source", "git_hash", "lm_eval_version", "transformers_version", "max_length")
    return config | {name: found[name] for name in names if found.get(name) is not None}
