"""The question in the user's words: a TOML file or a mapping, checked key by key."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from isogloss import languages as _languages
from isogloss.errors import InputError, unknown_name
from isogloss.planning.budget import Budget, Bytes, LanguageTarget, OwnAccelerator, Parameters, Positive, Strict, Tokens
from isogloss.planning.start_question import StartFrom
from isogloss.stores import beside, local
from isogloss.units import parse_quantity


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise InputError(
            f"{str(value).lower()} is not a number", hint="Write how many times a token counts, such as 2.0."
        )
    return value


Share = Annotated[float, Field(gt=0, le=1)]
Epochs = Positive
# How many times a token counts: nobody has measured a hundredfold.
Multiplier = Annotated[float, BeforeValidator(_no_truth_value), Field(gt=0, le=100)]


class CorpusNeed(Strict):
    """One of several corpora of a language; `max_epochs` None: the language's."""

    name: Annotated[str, Field(min_length=1)]
    tokens: Tokens | None = None
    bytes: Bytes | None = None
    quality: Multiplier = 1.0
    max_epochs: Epochs | None = None

    @model_validator(mode="after")
    def _one_amount(self) -> CorpusNeed:
        amounts = [v for v in (self.tokens, self.bytes) if v is not None]
        if len(amounts) != 1 or not 0 < amounts[0] < math.inf:
            what = "both tokens and bytes" if len(amounts) == 2 else "no text"
            raise InputError(
                f"{what} of the corpus {self.name!r}", hint='Give its tokens, such as "800M", or its bytes.'
            )
        return self


class LanguageNeed(Strict):
    """What the user wants of one language, and the text there is of it."""

    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    tokens: Tokens | None = None
    bytes: Bytes | None = None
    bytes_per_token: Positive | None = None
    max_epochs: Epochs | None = None
    min_share: Share | None = None
    max_share: Share | None = None
    share: Share | None = None
    fit: str | None = None
    quality: Multiplier = 1.0
    """How many times a token of its one corpus counts."""
    corpora: tuple[CorpusNeed, ...] | None = None
    """Instead of `tokens` or `bytes`, and of `quality`."""

    @model_validator(mode="after")
    def _text_once(self) -> LanguageNeed:
        if self.corpora is None:
            return self
        if not self.corpora:
            raise InputError("no corpus in corpora", hint="Leave corpora out, or give name and tokens of each.")
        for key in ("tokens", "bytes", "quality"):
            if key in self.model_fields_set and getattr(self, key) is not None:
                raise InputError(f"{key} beside corpora", hint=f"Give the {key} of each corpus, or leave corpora out.")
        names = [c.name for c in self.corpora]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"two corpora are called {twice!r}", hint="Name them apart.")
        return self

    @property
    def weighs_text(self) -> bool:
        """It has corpora, or a quality: its tokens are not all worth the same as those of other languages."""
        return self.corpora is not None or self.quality != 1


class PhaseNeed(Strict):
    """A phase of the run: its part of all tokens, and how many times a token of it counts."""

    name: Annotated[str, Field(min_length=1)]
    part: Share
    counts: Multiplier = 1.0


MOST_PHASES = 3


def _check_phases(phases: tuple[PhaseNeed, ...]) -> tuple[PhaseNeed, ...]:
    if not 2 <= len(phases) <= MOST_PHASES:
        count = f"{len(phases)} phase{'s' * (len(phases) != 1)}"
        raise InputError(count, hint=f"Give 2 to {MOST_PHASES}, or leave phases out.")
    names = [p.name for p in phases]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"two phases are called {twice!r}", hint="Name them apart.")
    total = math.fsum(p.part for p in phases)
    if abs(total - 1) > 1e-3:
        raise InputError(f"the parts of the phases sum to {total:.4g}, not 1", hint="They are parts of all tokens.")
    if all(p.counts == phases[0].counts for p in phases):
        raise InputError(
            "no law tells phases apart: ATLAS's, and every law packaged here, sees only how many tokens of each "
            "language there are in all, so their order changes nothing",
            hint="Train small models on the same totals in two orders. If one is better, say how many times a token of "
            "each phase counts, such as counts = 1.5; else leave phases out.",
        )
    return phases


def _memory(value: Any) -> Any:
    return value if value == "gpu" else parse_quantity(value, "bytes")


class Limits(Strict):
    max_epochs: Epochs = 4.0
    min_share: Share | None = None
    min_params: Parameters = 1e6
    max_params: Parameters = 1e13
    memory: Annotated[float | Literal["gpu"], BeforeValidator(_memory)] | None = None
    """Bytes of each accelerator, "gpu" for those of the budget's: a model must train on `budget.gpus` of them."""


# Where transfer weights come from; any other text is the path of a matrix.
TRANSFER = ("predicted", "published", "none")


class Assumptions(Strict):
    """Which published numbers the plan rests on where there are no runs of one's own."""

    laws: Literal["multi-vocab-mono-train", "mono-vocab-mono-train", "multi-vocab-unimax-train"] = (
        "multi-vocab-mono-train"
    )
    transfer: Annotated[str, Field(min_length=1)] = "predicted"
    """"predicted", "published", "none", or a transfer matrix: a table, or a folder that `isogloss transfer` wrote."""
    dose: Literal["equal", "linear"] = "equal"
    repetition_decay: Positive | None = None
    capacity: Literal["none", "k-law"] = "none"
    temperature: Positive = 3.33
    allow_assumed: bool = False
    """Plan languages of whose text, law or transfer nothing is known, too."""
    vocabulary: Annotated[int, Field(gt=1)] = 64_512
    context_length: Annotated[int, Field(gt=0)] = 4096

    def guessing(self, unit: str) -> float:
        """Loss in `unit` of a model that has learnt nothing: no law says more. All bytes are alike to it, or all pieces
        of the vocabulary."""
        if unit in ("bits/byte", "nats/byte"):
            return 8.0 if unit == "bits/byte" else math.log(256)
        return math.log2(self.vocabulary) if unit == "bits/token" else math.log(self.vocabulary)

    def located(self, folder: Path, where: str) -> Assumptions:
        """With a matrix of transfer found from the folder of the question file. InputError if there is none."""
        if self.transfer in TRANSFER:
            return self
        place = beside(folder, self.transfer)
        if place.exists():
            return self.model_copy(update={"transfer": str(place)})
        guess = unknown_name("transfer", self.transfer, TRANSFER, where=f"{where}, assumptions.transfer")
        raise InputError(
            f"{self.transfer!r} is none of {', '.join(TRANSFER)}, and there is no {place}",
            where=guess.where,
            hint=f"{guess.hint} Or give a folder that `isogloss transfer` wrote, or a table of scores.",
        )


class Objective(Strict):
    """What a good plan is: which number of each language, how they add up, and over which laws."""

    measure: Literal["loss", "normalised"] = "loss"
    languages: Literal["mean", "worst"] = "mean"
    risk: Literal["point", "mean", "quantile", "tail"] = "point"

    @property
    def said(self) -> str:
        what = {
            "loss": "loss",
            "normalised": "loss relative to what each language alone would reach with all the budget",
        }
        how = {"mean": "weighted mean", "worst": "worst"}
        over = {
            "point": "",
            "mean": ", mean over the draws",
            "quantile": ", 0.8 quantile over the draws",
            "tail": ", mean over the worst fifth of the draws",
        }
        return f"{how[self.languages]} {what[self.measure]}{over[self.risk]}"


class Question(Strict):
    """What `plan` answers. `languages` is keyed by canonical code."""

    title: str = ""
    accelerators: Mapping[str, OwnAccelerator] = Field(default_factory=dict)
    budget: Budget
    languages: dict[str, LanguageNeed]
    limits: Limits = Limits()
    objective: Objective = Objective()
    start: StartFrom | None = None
    runs: str | None = None
    """A run table or a study: laws and weights are fitted to it, with what is known without it as prior."""
    assumptions: Assumptions = Assumptions()
    phases: Annotated[tuple[PhaseNeed, ...], AfterValidator(_check_phases)] | None = None
    """In the order of training."""


def refuse_objective(asked: Question, what: str) -> None:
    """InputError for a question with another objective than the weighted mean loss by the point laws."""
    if asked.objective != Objective():
        raise InputError(
            f"{what} not judged by the {asked.objective.said} yet",
            where="objective",
            hint="Leave [objective] out: the weighted mean loss is used.",
        )


def refuse_phases(asked: Question, what: str) -> None:
    """InputError for a question with phases."""
    if asked.phases is not None:
        raise InputError(f"{what} not made for phases yet", where="phases", hint="Leave [[phases]] out.")


def refuse_corpora(asked: Question, what: str) -> None:
    """InputError for a question with corpora or quality of a language."""
    for code, need in asked.languages.items():
        if need.weighs_text:
            raise InputError(
                f"{what} not made for {'corpora' if need.corpora else 'text of a quality'} yet",
                where=f"languages.{code}",
                hint="Give its tokens of all corpora together, and no quality.",
            )


def read_question(source: str | Path | Mapping[str, Any] | Question) -> Question:
    """A Question from a TOML file, or from a mapping of the same shape.

    Raises InputError naming the file and the key, with near misses for unknown keys, languages and names.
    """
    if isinstance(source, Question):
        return source
    if isinstance(source, Mapping):
        return _check(dict(source), "question", Path())
    path = Path(local(source))
    return _check(_read_toml(path), str(path), path.parent)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        # Editors on Windows put a byte order mark before the text.
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), hint="Give a question file, such as baltic.toml.") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}", where=str(path), hint="Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not TOML: {error}", where=str(path)) from None


def _check(raw: dict[str, Any], where: str, folder: Path) -> Question:
    if isinstance(raw.get("budget"), str | int | float):
        raw["budget"] = {"flops": raw["budget"]}
    raw["languages"], spelled = _canonical(raw.get("languages"), where)
    try:
        question = Question.model_validate(raw, context={"accelerators": raw.get("accelerators")})
    except ValidationError as error:
        raise _translated(error, where, spelled) from None
    _check_budget(question, where)
    if not any(need.weight for need in question.languages.values()):
        raise InputError("every language has weight 0", where=f"{where}, languages", hint="Weigh at least one above 0.")
    # A fit is named relative to the question file that names it.
    located = {}
    for code, need in question.languages.items():
        if need.fit is not None:
            place = beside(folder, need.fit)
            if not place.is_dir():
                raise InputError(
                    f"no fit in {place}",
                    where=f"{where}, languages.{spelled[code]}.fit",
                    hint="Give a folder that `isogloss fit` wrote.",
                )
            need = need.model_copy(update={"fit": str(place)})
        located[code] = need
    assumptions = question.assumptions.located(folder, where)
    start = question.start
    if start is not None:
        weighed = [code for code, need in located.items() if need.weight > 0]
        start = start.located(folder, where, weighed, (question.limits.min_params, question.limits.max_params))
    runs = located_runs(question, folder, where)
    found = {"languages": located, "assumptions": assumptions, "start": start, "runs": runs}
    return question.model_copy(update=found)


def located_runs(question: Question, folder: Path, where: str) -> str | None:
    """The table's place from the folder of the question file. InputError where there is none, and for fits beside."""
    if question.runs is None:
        return None
    fits = [code for code, need in question.languages.items() if need.fit is not None]
    if fits:
        raise InputError(
            f"both runs and a fit of {fits[0]}",
            where=f"{where}, runs",
            hint="Leave the fits out: runs are fitted together with all that is known.",
        )
    place = beside(folder, question.runs)
    if not place.exists():
        raise InputError(f"no run table in {place}", where=f"{where}, runs", hint="Give a table of runs, or a study.")
    return str(place)


def _canonical(listed: Any, where: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Languages under canonical codes, from a list or a table of names, and how the user spelled each."""
    place = f"{where}, languages"
    if not listed or not isinstance(listed, list | dict):
        raise InputError(
            "no languages", where=place, hint='List them, languages = ["Estonian", "lav"], or one table each.'
        )
    items = listed.items() if isinstance(listed, dict) else [(name, {}) for name in listed]
    out: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for name, need in items:
        if not isinstance(name, str):
            raise InputError(f"{name!r} is not a language", where=place, hint="Write names or codes as text.")
        try:
            code = _languages.resolve(name)
        except InputError as error:
            raise InputError(error.what, where=place, hint=error.hint) from None
        if code in out:
            raise InputError(
                f"{code} is there twice, as {spelled[code]!r} and {name!r}", where=place, hint="Keep one of them."
            )
        out[code], spelled[code] = need, name
    return out, spelled


def _check_budget(question: Question, where: str) -> None:
    for code in question.budget.target or {}:
        if code not in question.languages:
            raise InputError(
                f"{code} has a target and is not among the languages",
                where=f"{where}, budget.target",
                hint=f"Add it to the languages, or set a target for one of {', '.join(list(question.languages)[:5])}.",
            )


# What is said of a key that is missing or has another shape, by the key.
_EXAMPLES = {
    "budget": 'For example budget = "3e22".',
    "name": 'For example name = "web".',
    "part": "For example part = 0.8: of all training tokens.",
}
_SHAPES = {"model_type": "table of keys", "dict_type": "table of keys", "tuple_type": "list of tables"}
_WRITTEN = {
    "corpora": "Write [[languages.<name>.corpora]] with two brackets, once for each corpus.",
    "phases": "Write [[phases]] with two brackets, once for each phase.",
    "start": 'For example start = "gemma-3-1b", or a table [start].',
    "budget": 'For example budget = "3e22", or a table [budget].',
    "target": 'Give a loss, such as 2.1, or { like = "English", params = "1B", tokens = "100B" }.',
}


def _translated(error: ValidationError, where: str, spelled: Mapping[str, str]) -> InputError:
    """One of pydantic's complaints, in our words: file, key, value, what to do.

    An unknown key comes first: a key that is missing is often the same one, misspelled.
    """
    complaints = error.errors()
    first = next((c for c in complaints if c["type"] == "extra_forbidden"), complaints[0])
    # A mark such as "function-before[...]" in the location is pydantic's, not the user's.
    keys = [str(k) for k in first["loc"] if not str(k).startswith(("function", "float", "str"))]
    keys = [spelled.get(k, k) for k in keys]
    place = f"{where}, {'.'.join(keys)}"
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return InputError(cause.what, where=place, hint=cause.hint)
    if first["type"] == "extra_forbidden":
        owner = {
            "accelerators": OwnAccelerator,
            "budget": LanguageTarget if keys[1:2] == ["target"] else Budget,
            "limits": Limits,
            "objective": Objective,
            "start": StartFrom,
            "phases": PhaseNeed,
            "assumptions": Assumptions,
            "languages": CorpusNeed if keys[2:3] == ["corpora"] else LanguageNeed,
        }.get(keys[0], Question)
        known = (owner if len(keys) > 1 else Question).model_fields
        return unknown_name("key", keys[-1], known, where=f"{where}, {'.'.join(keys[:-1]) or 'top level'}")
    if first["type"] == "missing":
        return InputError("missing", where=place, hint=_EXAMPLES.get(keys[-1]))
    if first["type"] in _SHAPES:
        hint = _WRITTEN.get("target" if keys[1:2] == ["target"] else keys[-1], "Give its keys, each with a value.")
        return InputError(f"{first['input']!r} is no {_SHAPES[first['type']]}", where=place, hint=hint)
    return InputError(f"{first['msg']} (got {first['input']!r})", where=place)
