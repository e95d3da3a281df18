"""Columns that only the linter looks at, and the names that people's files give them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from isogloss.runs.columns import fold

REALISED = "realised:"

EXTRA: dict[str, tuple[str, ...]] = {
    "steps": ("step", "train_steps", "training_steps", "global_step", "optimizer_steps", "n_steps", "num_steps"),
    "max_steps": ("total_steps", "planned_steps"),
    "max_tokens": ("planned_tokens", "token_budget"),
    "epochs": ("n_epochs", "num_epochs"),
    "layers": ("n_layers", "n_layer", "num_layers", "num_hidden_layers"),
    "d_model": ("hidden_size", "n_embd"),
    "d_ff": ("intermediate_size", "ffn_dim", "ffw_size"),
    "heads": ("n_heads", "n_head", "num_heads", "num_attention_heads"),
    "kv_heads": ("n_kv_heads", "num_key_value_heads"),
    "d_head": ("head_dim", "kv_size"),
    "tied": ("tied_embeddings", "tie_word_embeddings"),
    "experts": ("n_experts", "num_experts", "num_local_experts"),
    "shape": ("architecture",),
    "eval_set": ("evaluation_set", "eval_dataset"),
    "eval_documents": ("documents",),
    "eval_bytes": ("bytes",),
}
NUMBERS = (
    *("steps", "max_steps", "max_tokens", "epochs", "layers", "d_model", "d_ff", "heads", "kv_heads", "d_head"),
    "experts",
)

_BY_FOLD = {fold(alias): name for name, aliases in EXTRA.items() for alias in (name, *aliases)}
_REALISED = re.compile(r"realised(_shares?)?\s*[:/]\s*(?P<name>.+)", re.IGNORECASE)


def find_extra(columns: Iterable[str]) -> dict[str, str]:
    """The file's columns that the linter knows, and its names for them; of two for one, the first."""
    columns = list(columns)
    found: dict[str, str] = {}
    for column in sorted(columns, key=lambda c: c not in EXTRA):
        match = _REALISED.fullmatch(column)
        name = REALISED + match["name"] if match else _BY_FOLD.get(fold(column))
        if name and name not in found.values() and (name == column or name not in columns):
            found[column] = name
    return found
