"""JAX as isogloss uses it: float64, and compiled programs kept on disk between processes.

Import `jax` and `jnp` from here, so that no formula is ever evaluated before float64 is on.
"""

from __future__ import annotations

import os
from pathlib import Path

import jax
import jax.numpy as jnp

from isogloss.cache import cache_dir

__all__ = ["Array", "jax", "jnp"]

Array = jax.Array

jax.config.update("jax_enable_x64", True)


def _keep_compiled_programs() -> None:
    """Point JAX's compilation cache at the user's cache folder, unless the user has chosen one."""
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    folder: Path | None = cache_dir("xla")
    if folder is None:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # The default keeps only programs that took over a second to compile; ours are many and small.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


_keep_compiled_programs()
