"""The PyPI package `chinchilla` on points read from standard input; run by fit_speed.py in its own process.

Reads {"N": [...], "D": [...], "loss": [...]}; prints {"seconds": ..., "coefficients": {...}} or {"missing": ...}.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np


def main() -> None:
    try:
        from chinchilla import Chinchilla  # pyright: ignore[reportMissingImports]
        from chinchilla._metrics import log_huber  # pyright: ignore[reportMissingImports]
    except ImportError:
        print(json.dumps({"missing": "not installed"}))
        return
    points = json.load(sys.stdin)
    # The grid of the package's own documentation, 5^5 = 3,125 starts; a and b are ln A and ln B.
    grid: dict[str, Any] = {
        "E": np.linspace(1, 2, 5),
        "a": np.linspace(1, 10, 5),
        "b": np.linspace(1, 10, 5),
        "alpha": np.linspace(0.1, 0.7, 5),
        "beta": np.linspace(0.1, 0.7, 5),
    }
    with tempfile.TemporaryDirectory() as folder:
        model = Chinchilla(folder, param_grid=grid, loss_fn=partial(log_huber, delta=1e-3), log_level=50)
        for N, D, loss in zip(points["N"], points["D"], points["loss"], strict=True):
            model.append(N=N, D=D, loss=loss)
        begin = time.perf_counter()
        model.fit(parallel=True)
        seconds = time.perf_counter() - begin
        answer = {"seconds": seconds, "starts": 5**5, "version": version("chinchilla"), "coefficients": model.params}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
