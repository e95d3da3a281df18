"""The report's colours and fonts as Streamlit's configuration."""

from __future__ import annotations

from isogloss.report.palettes import DARK, LIGHT, SCREEN_FONT, Palette


def options() -> dict[str, object]:
    """Streamlit's options of the theme, by name."""
    return {
        "theme.font": SCREEN_FONT,
        "theme.headingFont": SCREEN_FONT,
        "theme.baseFontSize": 16,
        "theme.baseRadius": "4px",
        "theme.showWidgetBorder": True,
        "theme.showSidebarBorder": True,
        **{f"theme.{name}.{key}": value for name, of in (("light", LIGHT), ("dark", DARK)) for key, value in _of(of)},
    }


# White letters stand on it, on a dark page too.
PRIMARY = {LIGHT.background: LIGHT.categories[0], DARK.background: "#2272a6"}


def _of(palette: Palette) -> list[tuple[str, str]]:
    return [
        ("primaryColor", PRIMARY[palette.background]),
        ("backgroundColor", palette.background),
        ("secondaryBackgroundColor", palette.grid),
        ("textColor", palette.ink),
        ("linkColor", palette.categories[0]),
        ("borderColor", palette.rule),
        ("sidebar.backgroundColor", palette.background),
    ]
