"""What imports what: read off the source, and off a fresh process."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import isogloss

SOURCE = Path(isogloss.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
# From the bottom up: a room may import those that stand before it in its tower, and never one that stands after.
# The towers, of numerics and of training, meet in `runs`.
GROUND = ("errors", "display", "stores", "files", "cache", "units", "numerics", "languages", "laws", "runs")
PAPER = (*GROUND, "datasets", "fitting", "transfer", "planning", "report")
BELOW = ("errors", "display", "stores", "files", "cache", "units", "languages", "runs")
MACHINE = (*BELOW, "training", "evaluation", "sweeps")
ALL = {*PAPER, *MACHINE, "web", "cli"}
# What a room may import of isogloss, where it is less than all that stands below it.
NARROWER = {
    "laws": {"errors", "display", "stores", "files", "cache", "units", "numerics", "languages"},
    "runs": {"errors", "display", "stores", "files", "cache", "units", "numerics", "languages"},
}


def allowed(name: str) -> set[str]:
    if name == "cli":
        return set(ALL)
    if name == "web":
        return set(PAPER)
    if name in NARROWER:
        return NARROWER[name]
    tower = PAPER if name in PAPER else MACHINE
    return set(tower[: tower.index(name)])


FORBIDDEN = {name: ALL - allowed(name) - {name} for name in (*PAPER, *MACHINE[8:], "web", "cli")}
# Libraries of the machine tower, and where they may be imported.
TORCH_ROOMS = {"training", "evaluation", "sweeps"}


def room(path: Path) -> str:
    """The part of isogloss that a file belongs to: "laws", "errors"; "" for the package itself."""
    first = path.relative_to(SOURCE).parts[0]
    return "" if first in ("__init__.py", "__main__.py") else first.removesuffix(".py")


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported, inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _imports_by_name(node.func):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield node.lineno, argument.value


def _imports_by_name(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("import_module", "__import__")


@cache
def found(path: Path) -> list[tuple[int, str]]:
    package = ".".join(["isogloss", *path.relative_to(SOURCE).parent.parts])
    return list(imports(ast.parse(path.read_text(encoding="utf-8")), package))


def breaches(path: Path, forbidden: set[str]) -> list[str]:
    """Imports of forbidden rooms of isogloss, as file:line name."""
    return [
        f"{path.relative_to(SOURCE)}:{line} {name}"
        for line, name in found(path)
        if name.split(".")[0] == "isogloss" and [*name.split("."), ""][1] in forbidden
    ]


# --- by reading -------------------------------------------------------------------------------------


def test_every_room_has_a_rule() -> None:
    assert {room(path) for path in FILES} - {""} == FORBIDDEN.keys()


@pytest.mark.parametrize("name", FORBIDDEN)
def test_imports_go_down_only(name: str) -> None:
    assert [b for path in FILES if room(path) == name for b in breaches(path, FORBIDDEN[name])] == []


def files_importing(library: str) -> set[Path]:
    return {path for path in FILES for _, name in found(path) if name.split(".")[0] == library}


def test_the_paper_tower_knows_no_torch() -> None:
    assert {room(path) for path in files_importing("torch")} <= TORCH_ROOMS
    assert {room(path) for path in files_importing("safetensors")} == {"training"}


def test_ray_is_imported_in_one_file() -> None:
    assert {str(path.relative_to(SOURCE)) for path in files_importing("ray")} == {"sweeps/executors/ray.py"}


@pytest.mark.parametrize("name", ["fitting", "transfer", "planning", "laws", "report"])
def test_the_machine_tower_knows_no_law(name: str) -> None:
    knowing = [b for path in FILES if room(path) in MACHINE[8:] for b in breaches(path, {name})]
    assert knowing == []


@pytest.mark.parametrize("library", ["transformers", "pandas"])
def test_libraries_that_are_never_imported(library: str) -> None:
    importing = [
        f"{path.relative_to(SOURCE)}:{line}"
        for path in FILES
        for line, name in found(path)
        if name.split(".")[0] == library
    ]
    assert importing == []


def test_numerics_is_the_one_door_to_jax() -> None:
    """A formula evaluated before float64 is on would be computed in float32."""
    through = {path.name for path in FILES for _, name in found(path) if name.split(".")[0] == "jax"}
    assert through == {"numerics.py"}


def test_only_cli_report_and_web_know_how_things_look() -> None:
    known = {"altair": {"report", "web"}, "rich": {"cli"}, "cyclopts": {"cli"}, "jinja2": {"report"}}
    for library, rooms in {**known, "streamlit": {"web", "cli"}}.items():
        using = {room(path) for path in FILES for _, name in found(path) if name.split(".")[0] == library}
        assert using == rooms, library


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("from isogloss.planning import plan", "isogloss.planning.plan"),
        ("from isogloss import planning", "isogloss.planning"),
        ("import isogloss.planning.plan as p", "isogloss.planning.plan"),
        ("def f():\n    from isogloss.planning import plan", "isogloss.planning.plan"),
        ("from ..planning import plan", "isogloss.planning.plan"),
        ("from .. import planning", "isogloss.planning"),
        ("from importlib import import_module\nimport_module('isogloss.planning')", "isogloss.planning"),
        ("if TYPE_CHECKING:\n    from isogloss.planning import plan", "isogloss.planning.plan"),
    ],
)
def test_the_reader_sees_every_way_to_import(code: str, name: str) -> None:
    assert name in {imported for _, imported in imports(ast.parse(code), "isogloss.laws")}


# --- by running -------------------------------------------------------------------------------------


def loaded_by(code: str) -> set[str]:
    """Top-level names of the modules that a fresh process holds after running `code`."""
    show = f"{code}\nimport sys, json; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, timeout=120, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_isogloss_is_light() -> None:
    heavy = {"jax", "jaxlib", "torch", "ray", "polars", "pandas", "numpy", "scipy", "altair", "pydantic", "rich"}
    assert loaded_by("import isogloss") & heavy == set()


def test_the_command_line_starts_without_the_heavy_ones() -> None:
    assert loaded_by("import isogloss.cli") & {"jax", "torch", "ray", "polars", "pandas", "scipy", "altair"} == set()


def test_the_catalogue_is_read_without_jax() -> None:
    assert "jax" not in loaded_by("from isogloss.laws import entries; entries()")


def test_a_study_is_read_without_torch() -> None:
    study = {"languages": {"est": {"text": "a"}}, "runs": [{"mixture": "pairs", "sizes": "1M", "tokens": "1M"}]}
    code = f"from isogloss.sweeps.study import check_study; check_study({study!r}, 'study')"
    code += "; import isogloss.sweeps.grid, isogloss.sweeps.claims, isogloss.sweeps.status, isogloss.runs"
    assert loaded_by(code) & {"torch", "ray", "jax", "datasets", "sentencepiece", "tokenizers"} == set()


def test_a_plan_loads_no_training_library() -> None:
    question = {"budget": 1e19, "languages": {"English": {"tokens": "1T"}}}
    assert loaded_by(f"import isogloss; isogloss.plan({question!r})") & {"torch", "ray", "pandas", "altair"} == set()


def test_names_of_the_package_load_on_first_use() -> None:
    assert isogloss.__version__.count(".") == 2
    names = ["fit", "plan", "expand", "crossover", "design", "beside", "marginal", "checkpoints", "evaluate_given"]
    for name in (*names, "read_runs", "get_law", "InputError", "TransferMatrix"):
        assert name in dir(isogloss)
        # A module of the same name must not stand in the function's place.
        assert callable(getattr(isogloss, name))
    assert "polars" in loaded_by("import isogloss; isogloss.datasets.help_texts")
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = isogloss.nothing_such  # type: ignore[attr-defined]
