"""How flat an optimum is: the range of sizes whose loss is as good as the best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Losses this close to the best are the same to anyone who trains models.
FLAT = 0.005


@dataclass(frozen=True)
class FlatRange:
    """From N `low` to `high`, parameters; open where the loss is still as good at the end of what was tried."""

    low: float
    high: float
    open_low: bool
    open_high: bool
    within: float = FLAT

    def to_dict(self) -> dict[str, float | bool]:
        return {
            "within": self.within,
            "N_low": self.low,
            "N_high": self.high,
            "open_low": self.open_low,
            "open_high": self.open_high,
        }


def flat_range(N: np.ndarray, loss: np.ndarray, within: float = FLAT) -> FlatRange:
    """Sizes about the best between which `loss` exceeds the least by no more than the part `within`: straight lines in
    ln N between the sizes `N` `(sizes,)`, which are in order."""
    x = np.log(N)
    excess = loss / loss.min() - 1 - within
    best = int(np.argmin(excess))
    ends, is_open = [], []
    for side in (-1, 1):
        k = best
        while 0 <= k + side < len(x) and excess[k + side] <= 0:
            k += side
        outer = k + side
        at_end = not 0 <= outer < len(x)
        is_open.append(at_end)
        ends.append(x[k] if at_end else x[k] + (x[outer] - x[k]) * excess[k] / (excess[k] - excess[outer]))
    return FlatRange(float(np.exp(ends[0])), float(np.exp(ends[1])), is_open[0], is_open[1])
