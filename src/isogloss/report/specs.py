"""Charts as Vega-Lite specifications: one view per panel, so that a row of charts can wrap on a phone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from isogloss.report.theme import NUMBERS

# A row of charts whose panels a page may set side by side or one below the other.
ROWS = ("hconcat", "concat")
# These fix the size of their parts themselves: they cannot follow a container's width.
FIXED = ("hconcat", "concat", "vconcat", "facet", "repeat")
# Of a whole specification only; `usermeta` could tell vega-embed to show or load something else.
_LOOK = ("config", "$schema", "usermeta")


def spec_of(chart: Any) -> dict[str, Any]:
    """The chart's specification without its look, which the page or the picture gives."""
    # Validation takes most of a page's time and would only find mistakes of our own, which tests do.
    spec = dict(chart) if isinstance(chart, dict) else chart.to_dict(validate=False)
    return {key: value for key, value in spec.items() if key not in _LOOK}


def panels(chart: Any) -> list[dict[str, Any]]:
    """The chart as views that each stand alone: the parts of a row, else the chart itself."""
    spec = spec_of(chart)
    for key in ROWS:
        # What a row shares (selections, one data set for all) would be lost by taking it apart.
        if key in spec and not ({"params", "data", "resolve"} & set(spec)):
            return [_roomy({**part, **_datasets(part, spec.get("datasets", {}))}) for part in spec[key]]
    return [_roomy(spec)]


def joined(views: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Views that `panels` took apart, as one specification again."""
    if len(views) == 1:
        return views[0]
    datasets = {name: data for view in views for name, data in view.get("datasets", {}).items()}
    row = [{key: value for key, value in view.items() if key not in ("datasets", "padding")} for view in views]
    return {"hconcat": row, **({"datasets": datasets} if datasets else {})}


def _datasets(part: dict[str, Any], datasets: dict[str, Any]) -> dict[str, Any]:
    """Those of the named data sets, which altair puts beside the row, that this part draws."""
    names = set(_names(part))
    return {"datasets": {name: datasets[name] for name in sorted(names & set(datasets))}}


def _names(part: Any) -> Iterator[str]:
    """Of data sets that a view, its layers and their lookups draw on."""
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _names(value)
    data = part.get("data") if isinstance(part, dict) else None
    if isinstance(data, dict) and isinstance(data.get("name"), str):
        yield data["name"]


def _roomy(spec: dict[str, Any]) -> dict[str, Any]:
    """With space at the right for a column of numbers: a view that fits a width counts no text beside its plot."""
    marks = [layer.get("mark") for layer in spec.get("layer", [spec])]
    if any(isinstance(mark, dict) and mark.get("style") == NUMBERS for mark in marks):
        return {**spec, "padding": {"left": 4, "top": 4, "bottom": 4, "right": 60}}
    return spec


def fluid(spec: dict[str, Any]) -> bool:
    """Whether the view follows the width of its container."""
    return spec.get("width") == "container" and not any(key in spec for key in FIXED)


def with_widths(spec: dict[str, Any], width: float) -> dict[str, Any]:
    """The specification with numbers where a page would take the container's width: pictures have none."""
    out = dict(spec)
    for key in (*ROWS, "vconcat"):
        if key in out:
            share = 1 if key == "vconcat" else len(out[key])
            out[key] = [with_widths(part, width / share) for part in out[key]]
    if out.get("width") == "container":
        out["width"] = round(width)
    return out
