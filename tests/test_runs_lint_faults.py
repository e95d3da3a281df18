"""The linter against planted faults, against the public tables, and against its own page."""

from __future__ import annotations

import os
import re
from pathlib import Path

import lint_faults
import polars as pl
import pytest

from isogloss.runs.lint import CODES, lint_runs

DATA = Path(os.environ.get("ISOGLOSS_DATA", Path(__file__).parents[2] / "shared" / "data"))
PAGE = Path(__file__).parents[1] / "docs" / "lint.md"

# The four tables (RegMix in three files) of which the origin tells no fault but marks what it leaves out, with the
# warnings that they have. In xscript_bilingual a run collapsed, and phases, tokenizers and texts are mixed;
# byte_transfer has losses of models that were not trained further, at zero tokens.
CLEAN = lint_faults.CLEAN
WARNINGS = {
    "chinchilla_svg": {"flagged": 5, "high-loss": 2},
    "datablations": {"flagged": 126, "high-loss": 19},
    "regmix_1m": {"one-N": 0, "one-D": 0},
    "regmix_60m": {"one-N": 0, "one-D": 0},
    "regmix_1b": {"one-N": 0, "one-D": 0},
    "xling_enfr": {"flagged": 18, "loss-above-uniform": 1, "high-loss": 1, "one-N": 0},
}


def test_every_planted_fault_is_found_and_nothing_else():
    missed, alarms = lint_faults.missed_and_alarms()
    assert missed == []
    assert alarms == []


def test_the_list_is_long_and_of_many_kinds():
    listed = lint_faults.faults()
    assert len(listed) >= 40
    assert len({f.code for f in listed}) >= 25
    assert {f.code for f in listed} <= set(CODES)
    for name in {f.table for f in listed}:
        table = pl.read_csv(lint_faults.HERE / name, infer_schema_length=0)
        for fault in listed:
            if fault.table == name:
                assert fault.column in table.columns
                assert all(1 <= row <= table.height for row in fault.rows)


def test_the_tables_are_those_that_the_script_makes(tmp_path):
    lint_faults.write(tmp_path)
    for path in lint_faults.HERE.iterdir():
        assert (tmp_path / path.name).read_text() == path.read_text(), path.name


@pytest.mark.skipif(not DATA.is_dir(), reason="the public run tables are not here: set ISOGLOSS_DATA to their folder")
def test_clean_tables_have_no_error():
    reports = lint_faults.clean(DATA)
    assert {name for files in CLEAN.values() for name in files} == set(WARNINGS) == set(reports)
    for name, report in reports.items():
        assert report.ok, name
        warnings = {f.code: len(f.rows) for f in report.findings if f.severity == "warning"}
        assert warnings == WARNINGS[name], name


@pytest.mark.skipif(not DATA.is_dir(), reason="the public run tables are not here: set ISOGLOSS_DATA to their folder")
def test_a_collapse_and_impossible_tokens_in_public_tables():
    xscript = lint_runs(DATA / "xscript_bilingual.csv")
    assert xscript.ok
    (spike,) = [f for f in xscript.findings if f.code == "loss-spike"]
    # The run of which its authors say that it collapsed.
    assert spike.runs == ("de__unigram_starved",)
    zero = lint_runs(DATA / "byte_transfer.csv", unit="nats/byte")
    assert {f.code: len(f.rows) for f in zero.findings if f.severity == "error"} == {"zero-tokens": 28}
    # Its losses are per byte, and nothing in it says so.
    assert "unit-unsaid" in {f.code for f in lint_runs(DATA / "byte_transfer.csv").findings}
    assert lint_runs(DATA / "byte_transfer.csv", unit="nats/byte", where="tokens>0").ok


def test_the_page_lists_every_code():
    rows = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"\| `([a-zA-Z-]+)` \| (\w+) \| (.*) \| (.*) \| (.*) \|", line):
            rows[match[1]] = match.groups()[1:]
    assert rows == {c.name: (c.severity, c.what, c.cure, c.fixed) for c in CODES.values()}
