"""[start] of a question: the checkpoint that training may continue from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from isogloss.errors import InputError, located
from isogloss.planning.budget import Parameters, Strict, Tokens
from isogloss.planning.checkpoints import Checkpoint, as_checkpoint
from isogloss.stores import beside
from isogloss.units import format_quantity

# Of a single number only its value is checked here: whose share it is follows from the question's languages.
ANY = "eng_Latn"


def _shares(value: Any) -> Any:
    """Shares by canonical code, or one number; InputError for what is none, and for a sum above 1."""
    if value is None:
        return None
    found = as_checkpoint({"params": 1.0, "mixture": value}, ANY).mixture
    return dict(found) if isinstance(value, Mapping) else found[ANY]


def _list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class StartFrom(Strict):
    """A checkpoint of the catalogue by `checkpoint`, or one's own by `params`; what is not given counts as unknown."""

    checkpoint: str | None = None
    name: str | None = None
    params: Parameters | None = None
    tokens: Tokens | None = None
    mixture: Annotated[float | dict[str, float] | None, BeforeValidator(_shares)] = None
    """Shares of the checkpoint's training tokens by language, or one number for each language that is weighed."""
    tokenizer: Literal["same", "another"] | None = None
    """"same" if a model from scratch would have the checkpoint's."""
    runs: str | None = None
    """A run table of both kinds of start, to which the crossings are fitted."""
    init: str | None = None
    """The checkpoint as the table's column `init` calls it."""
    where: Annotated[tuple[str, ...], BeforeValidator(_list)] = ()
    """Conditions on the rows of the table."""

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"checkpoint": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_checkpoint(self) -> StartFrom:
        if self.checkpoint is None and self.params is None:
            raise InputError(
                "params is missing" if self.name else "neither checkpoint nor params",
                hint='Name one of the catalogue, checkpoint = "gemma-3-1b", or give your own: params = "2B".',
            )
        own = {"name": self.name, "params": self.params}
        if self.checkpoint is not None and any(v is not None for v in own.values()):
            key = next(k for k, v in own.items() if v is not None)
            raise InputError(
                f"both checkpoint and {key} are given",
                hint="checkpoint is a name of the catalogue; leave it out and use name and params for your own.",
            )
        if self.runs is None and (self.init is not None or self.where):
            raise InputError(
                f"{'init' if self.init is not None else 'where'} without runs",
                hint='Give the table too, runs = "runs.csv".',
            )
        return self

    def resolved(self, codes: Sequence[str]) -> Checkpoint:
        """The checkpoint; a single number of `mixture` is the share of each of `codes`. InputError, near misses."""
        mixture = dict.fromkeys(codes, self.mixture) if isinstance(self.mixture, float) else self.mixture
        own = {"tokens": self.tokens, "mixture": mixture, "tokenizer": self.tokenizer}
        given: dict[str, Any] = {k: v for k, v in own.items() if v is not None}
        if self.checkpoint is not None:
            return as_checkpoint({"name": self.checkpoint, **given}, ANY)
        name = {} if self.name is None else {"name": self.name}
        return as_checkpoint({"params": self.params, **name, **given}, ANY)

    def located(self, folder: Path, where: str, codes: Sequence[str], sizes: tuple[float, float]) -> StartFrom:
        """With the table found from the folder of the question file, and the checkpoint checked.

        `codes` are the languages of positive weight, `sizes` the least and the largest N allowed. Raises InputError for
        a checkpoint or a table that is not there, and for a size that the limits forbid.
        """
        with located(f"{where}, start"):
            found = self.resolved(codes)
            _refuse_size(found, sizes)
            if self.runs is None:
                return self
            place = beside(folder, self.runs)
            if not place.exists():
                raise InputError(f"no runs in {place}", where="runs", hint="Give a run table or the folder of a study.")
            return self.model_copy(update={"runs": str(place)})


def _refuse_size(found: Checkpoint, sizes: tuple[float, float]) -> None:
    for key, limit, side, broken in (
        ("min_params", sizes[0], "below", found.params < sizes[0]),
        ("max_params", sizes[1], "above", found.params > sizes[1]),
    ):
        if broken:
            raise InputError(
                f"{found.name} has {format_quantity(found.params)} parameters, {side} limits.{key} = "
                f"{format_quantity(limit)}: continuing it gives a model of its own size",
                hint=f"Change limits.{key}, or name a checkpoint that keeps to it.",
            )
