"""runs: look at a run table before fitting it."""

from __future__ import annotations

from cyclopts import App

from isogloss.cli.runs_import import import_
from isogloss.cli.runs_lint import lint
from isogloss.cli.runs_show import show

runs = App(name="runs", help="Bring runs in, and look at them before fitting.", result_action="return_value")
runs.command(import_, name="import")
runs.command(lint)
runs.command(show)
