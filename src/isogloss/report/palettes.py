"""Colours and fonts, light and dark."""

from __future__ import annotations

from dataclasses import dataclass

# The first fonts are the readers' own; Liberation Sans has Arial's widths and is what vl-convert draws with.
SCREEN_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
STATIC_FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"


@dataclass(frozen=True)
class Palette:
    background: str
    ink: str
    muted: str
    rule: str
    grid: str
    categories: tuple[str, ...]
    """Okabe and Ito's colours, which stay apart in the common kinds of colour blindness."""
    diverging: tuple[str, ...]
    """From the worst to the best through the neutral, which is near the page's own colour."""
    ramp: tuple[str, ...]
    """From little to much, each far from the page's own colour."""
    inverse_from: float
    """From here of the way to an end of `diverging` on, words on it are read better in the page's own colour."""
    warm_ink: str
    """The second category's colour, as far from the page as text must be."""


LIGHT = Palette(
    background="#ffffff",
    ink="#1c2126",
    muted="#5c6670",
    rule="#aab2ba",
    grid="#e9ecef",
    categories=("#0072b2", "#d55e00", "#009e73", "#b8860b", "#b0578d", "#3f8fc4"),
    diverging=("#8f3a00", "#d55e00", "#f0b48a", "#f3f4f5", "#9ccbe6", "#2f86bd", "#004c78"),
    inverse_from=0.66,
    ramp=("#bf8412", "#d4604a", "#93397f", "#2d2a6e"),
    warm_ink="#b04c00",
)
DARK = Palette(
    background="#14171a",
    ink="#e8eaed",
    muted="#a0a9b2",
    rule="#59626b",
    grid="#272c31",
    categories=("#56b4e9", "#f28e4c", "#2fbf95", "#e6b93c", "#d992ba", "#9cc9ee"),
    diverging=("#ffb98a", "#e2772f", "#7d421d", "#262b30", "#1f4f6e", "#4a9ed0", "#a9dbf7"),
    inverse_from=0.5,
    ramp=("#6f78d8", "#b95fb0", "#f0825c", "#f7d774"),
    warm_ink="#f28e4c",
)
