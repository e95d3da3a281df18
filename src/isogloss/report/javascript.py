"""Vega, Vega-Lite and vega-embed as one script, made once and kept."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib.metadata import version as installed

import altair as alt

from isogloss.cache import cache_dir
from isogloss.errors import InputError
from isogloss.files import write_text


@cache
def bundle() -> str:
    """The libraries' source, safe inside a script element.

    vl-convert takes a second to put it together, so it is kept on disk where that is possible.
    """
    version = vega_lite_version()
    folder = cache_dir("javascript")
    kept = (
        folder / f"vl-convert-{installed('vl-convert-python')}-vega-lite-{version or 'latest'}.js" if folder else None
    )
    if kept is not None:
        # Where it is not there yet or cannot be read, it is made again below.
        with suppress(OSError, UnicodeDecodeError):
            return kept.read_text(encoding="utf-8")
    import vl_convert

    # The stubs ask for the snippet, which the library does not need.
    script = vl_convert.javascript_bundle(None, version)  # pyright: ignore[reportArgumentType]
    script = script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    if kept is not None:
        # A full or vanished cache costs time, never the page.
        with suppress(OSError, InputError):
            write_text(kept, script)
    return script


def vega_lite_version() -> str | None:
    """The Vega-Lite that altair writes for, such as "6.4", if vl-convert has it; None for its latest."""
    import vl_convert

    wanted = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    return wanted if wanted in vl_convert.get_vegalite_versions() else None
