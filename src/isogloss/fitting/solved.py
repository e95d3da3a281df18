"""What every kind of interval starts from: a problem, its runs, and the optima that were found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isogloss.fitting.problem import Problem
from isogloss.fitting.sandwich import Sandwich, sandwich
from isogloss.numerics import jnp


@dataclass(frozen=True)
class Solved:
    """`optima` `(optima, free)`, the best first; `run` `(rows,)` numbers runs from 0; the box is `lower`, `upper`."""

    problem: Problem
    run: np.ndarray
    optima: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def z(self) -> np.ndarray:
        return self.optima[0]

    @property
    def runs(self) -> int:
        return int(self.run.max()) + 1

    def sandwich(self) -> Sandwich:
        return sandwich(self.problem, self.z, self.run, self.lower, self.upper)

    def fitted(self) -> np.ndarray:
        """What the law at the best optimum says of each row `(rows,)`."""
        p = self.problem
        values = p.layout.values(jnp.asarray(self.z), jnp.asarray(p.held), jnp.asarray(p.centres))
        return np.asarray(p.layout.to_law(values).loss(**p.columns))

    def inside(self, z: np.ndarray) -> np.ndarray:
        """The draws `(draws, free)`, each moved into the box."""
        return np.clip(z, self.lower, self.upper)
