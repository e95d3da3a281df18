"""The published replication's bootstrap (Besiroglu et al. 2024, arXiv:2404.10102), re-implemented, for fit_speed.py.

Each resample is minimised by SciPy's BFGS from the best fit, with gradients of the sum of Huber costs by `autograd`.
Reads {"N": [...], "D": [...], "loss": [...], "start": [ln A, ln B, ln E, alpha, beta], "samples": [[row, ...], ...]};
prints {"seconds": ..., "objectives": [...]} or {"missing": ...}.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import numpy as np

DELTA = 1e-3


def main() -> None:
    try:
        import autograd.numpy as anp  # pyright: ignore[reportMissingImports]
        from autograd import grad  # pyright: ignore[reportMissingImports]
        from scipy.optimize import minimize
    except ImportError:
        print(json.dumps({"missing": "autograd is not installed"}))
        return

    def objective(x: Any, log_N: np.ndarray, log_D: np.ndarray, log_loss: np.ndarray) -> Any:
        a, b, e, alpha, beta = x
        terms = (a - alpha * log_N, b - beta * log_D, e)
        predicted = anp.log(anp.exp(terms[0]) + anp.exp(terms[1]) + anp.exp(terms[2]))
        size = anp.abs(predicted - log_loss)
        return anp.sum(anp.where(size <= DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA)))

    given = json.load(sys.stdin)
    logs = [np.log(given[name]) for name in ("N", "D", "loss")]
    slope, start = grad(objective), np.array(given["start"])
    warnings.simplefilter("ignore")
    begin = time.perf_counter()
    found = [
        minimize(objective, start, args=tuple(v[np.array(rows)] for v in logs), jac=slope, method="BFGS").fun
        for rows in given["samples"]
    ]
    print(json.dumps({"seconds": time.perf_counter() - begin, "objectives": [float(f) for f in found]}))


if __name__ == "__main__":
    main()
