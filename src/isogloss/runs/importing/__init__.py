"""Runs out of trackers and logs, into a study folder that every verb reads."""

from isogloss.runs.importing.accounts import ImportReport as ImportReport
from isogloss.runs.importing.guess import guess_mapping as guess_mapping
from isogloss.runs.importing.importer import import_runs as import_runs
from isogloss.runs.importing.mapping import Mapping as Mapping
from isogloss.runs.importing.mapping import read_mapping as read_mapping
from isogloss.runs.importing.sources import faster_way as faster_way
from isogloss.runs.importing.sources import open_source as open_source
from isogloss.runs.importing.sources import other_kinds as other_kinds
