"""The budget in the user's words: FLOPs, accelerator-hours, money, or the losses that it must reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)

from isogloss import languages as _languages
from isogloss.errors import InputError
from isogloss.planning.hardware import Accelerator, accelerators, canonical_name
from isogloss.units import Kind, format_quantity, parse_quantity


def quantity(kind: Kind) -> BeforeValidator:
    """People write quantities as text, "10B tokens", and in the wrong unit at times."""
    return BeforeValidator(lambda value: parse_quantity(value, kind))


Flops = Annotated[float, quantity("flops")]
Count = Annotated[float, quantity("count")]
Tokens = Annotated[float, quantity("tokens")]
Bytes = Annotated[float, quantity("bytes")]
Parameters = Annotated[float, quantity("parameters")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OwnAccelerator(Strict):
    """An accelerator of the question file: dense bfloat16 FLOP/s, and bytes of memory."""

    peak_flops: Flops
    memory: Bytes | None = None


class LanguageTarget(Strict):
    """A loss to reach, or the model whose loss it is: `like` a language, `params` trained on `tokens` of it alone."""

    loss: Positive | None = None
    like: str | None = None
    params: Parameters | None = None
    tokens: Tokens | None = None

    @model_validator(mode="after")
    def _one_way(self) -> LanguageTarget:
        model = {"like": self.like, "params": self.params, "tokens": self.tokens}
        given = [key for key, value in model.items() if value is not None]
        if self.loss is not None and given:
            raise InputError(f"both loss and {given[0]} are given", hint="Keep the loss, or like, params and tokens.")
        if self.loss is None and len(given) < len(model):
            absent = ", ".join(key for key in model if key not in given)
            raise InputError(
                f"lacks {absent}", hint='Give a loss, or { like = "English", params = "1B", tokens = ... }.'
            )
        return self


def _as_target(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"loss": value}
    if isinstance(value, dict) and isinstance(value.get("like"), str):
        return value | {"like": _languages.resolve(value["like"])}
    return value


def _canonical(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if not value:
        raise InputError("no language", hint="Give losses by language, such as Estonian = 2.1.")
    out: dict[str, Any] = {}
    for name, wanted in value.items():
        code = _languages.resolve(name)
        if code in out:
            raise InputError(f"{code} is there twice", hint="Keep one of them.")
        out[code] = wanted
    return out


def _own(info: ValidationInfo) -> Mapping[str, Any]:
    """The question's own accelerators as written, which are checked beside the budget."""
    own = (info.context or {}).get("accelerators")
    return own if isinstance(own, dict) else {}


def _known_gpu(name: str, info: ValidationInfo) -> str:
    return canonical_name(name, _own(info))


Way = Literal["flops", "gpu_hours", "money", "loss", "target"]
_TIMES = ("gpu_hours", "hours", "days")


class Budget(Strict):
    """What there is to spend, given in exactly one way, or the losses to reach.

    `gpu` beside FLOPs or a target says on what the hours and the money are counted. `served_tokens` are paid for by
    the same budget, at 2 N FLOPs a token.
    """

    flops: Flops | None = None
    gpu: Annotated[str, AfterValidator(_known_gpu)] | None = None
    gpu_hours: Count | None = None
    gpus: Count | None = None
    hours: Count | None = None
    days: Count | None = None
    utilisation: Annotated[float, Field(gt=0, le=1)] = 0.4
    money: Count | None = None
    per_gpu_hour: Count | None = None
    currency: str = ""
    loss: Positive | None = None
    target: Annotated[
        dict[str, Annotated[LanguageTarget, BeforeValidator(_as_target)]] | None, BeforeValidator(_canonical)
    ] = None
    served_tokens: Tokens | None = None
    _accelerator: Accelerator | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _exactly_one_way(self, info: ValidationInfo) -> Budget:
        keys = ("flops", *_TIMES, "money", "loss", "target")
        given = [key for key in keys if getattr(self, key) is not None]
        if not given or (given[0] in _TIMES and self.gpu is None):
            raise InputError(
                "no budget" if not given else f"no budget: {given[0]} of which gpu?",
                hint='Give flops = "3e22"; or gpu = "H100" with gpu_hours = 20000, or gpus = 64 and days = 14, or '
                "money = 50000 and per_gpu_hour = 2.5; or the loss to reach: loss = 2.1, or [budget.target].",
            )
        if len(given) > 1:
            raise InputError(f"both {given[0]} and {given[1]} are given", hint="Keep one of them.")
        self._complete(given[0])
        if self.gpu is not None:
            self._accelerator = accelerators().get(self.gpu)
            if self.gpu in _own(info):
                own = OwnAccelerator.model_validate(_own(info)[self.gpu])
                self._accelerator = Accelerator(self.gpu, own.peak_flops, own.memory)
        return self

    def _complete(self, way: str) -> None:
        needed = {
            "hours": ("gpus",),
            "days": ("gpus",),
            "money": ("gpu", "per_gpu_hour"),
            "per_gpu_hour": ("gpu",),
            "gpus": ("gpu",),
        }
        present = [key for key in needed if key == way or getattr(self, key) is not None]
        for key in present:
            for other in needed[key]:
                if getattr(self, other) is None:
                    raise InputError(f"{key} without {other}", hint=f"Give {other} too, or leave {key} out.")
        if self.gpu is None and "utilisation" in self.model_fields_set:
            raise InputError("utilisation without gpu", hint="Name the gpu, or leave utilisation out.")
        if self.currency and self.per_gpu_hour is None:
            raise InputError("currency without per_gpu_hour", hint="Give the price of an hour, or leave currency out.")

    @property
    def way(self) -> Way:
        for way in ("flops", "money", "loss", "target"):
            if getattr(self, way) is not None:
                return way
        return "gpu_hours"

    @property
    def accelerator(self) -> Accelerator | None:
        return self._accelerator

    @property
    def is_target(self) -> bool:
        """The budget is what reaches a loss: `compute_for_loss` finds it."""
        return self.way in ("loss", "target")

    @property
    def total_hours(self) -> float | None:
        """Accelerator-hours, where the budget is given in them or in money."""
        if self.money is not None and self.per_gpu_hour is not None:
            return self.money / self.per_gpu_hour
        if self.gpu_hours is not None or self.gpus is None:
            return self.gpu_hours
        hours = self.hours if self.days is None else 24 * self.days
        return None if hours is None else self.gpus * hours

    @property
    def total(self) -> float:
        """FLOPs for training and serving together. Raises InputError where a loss is given instead."""
        if self.flops is not None:
            return self.flops
        if self.total_hours is None or self.accelerator is None:
            raise InputError(
                f"{self.way} is what to reach, not what to spend", where="budget", hint="Give flops, hours or money."
            )
        return self.accelerator.peak_flops * 3600 * self.total_hours * self.utilisation

    @property
    def C(self) -> float:
        """Training FLOPs. Raises InputError where the question alone does not tell: a target, or tokens served."""
        if self.served_tokens is not None:
            raise InputError(
                "what is left for training depends on N, since each token served costs 2 N FLOPs",
                where="budget.served_tokens",
                hint="Leave served_tokens out.",
            )
        return self.total

    @property
    def memory(self) -> float | None:
        """Bytes of one accelerator, None if unknown."""
        return None if self.accelerator is None else self.accelerator.memory

    def hours_for(self, flops: float) -> float | None:
        """Accelerator-hours that `flops` take, None without a gpu."""
        if self.accelerator is None:
            return None
        return flops / (self.accelerator.peak_flops * 3600 * self.utilisation)

    def money_for(self, flops: float) -> float | None:
        hours = self.hours_for(flops)
        return None if hours is None or self.per_gpu_hour is None else hours * self.per_gpu_hour

    def said(self) -> str:
        """The budget as the question gives it, for an evidence line."""
        if self.is_target:
            return f"budget.{self.way} in the question"
        if self.flops is not None:
            return "budget.flops in the question"
        assert self.accelerator is not None
        assert self.total_hours is not None
        source = f"{self.total_hours:g} h of {self.gpu}"
        if self.money is not None:
            price = f"{self.per_gpu_hour:g} {self.currency}".strip()
            source = f"{self.money:g} {self.currency}".strip() + f" at {price} an hour = {source}"
        elif self.gpu_hours is None:
            source = f"{self.gpus:g} x {self.gpu} for {f'{self.days:g} days' if self.days else f'{self.hours:g} h'}"
        rate = format_quantity(self.accelerator.peak_flops, "flops")
        return f"{source} at its peak dense bf16 rate ({rate}/s) x utilisation {self.utilisation:g}"
