"""What a run is, and what came of it: RunSpec, RunTable, and reading and checking tables."""

from isogloss.runs.architecture import Architecture as Architecture
from isogloss.runs.lint import Finding as Finding
from isogloss.runs.lint import lint as lint
from isogloss.runs.read import read_runs as read_runs
from isogloss.runs.spec import RunSpec as RunSpec
from isogloss.runs.table import LeftOut as LeftOut
from isogloss.runs.table import RunTable as RunTable
