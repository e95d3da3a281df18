"""Tables that reading would refuse: findings instead of one error, by the rows of the file."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from isogloss.errors import InputError
from isogloss.runs import read_runs
from isogloss.runs.lint import CODES, Finding, fixed, lint, lint_runs
from isogloss.runs.table import RunTable
from simulate import DESIGNS

GOOD = {
    "run": [f"r{i}" for i in range(9)],
    "N": ["1e8", "1e8", "1e8", "2e8", "2e8", "2e8", "4e8", "4e8", "4e8"],
    "D": ["1e9", "2e9", "4e9"] * 3,
    "loss": ["3.3", "3.1", "3.0", "3.1", "2.9", "2.8", "3.0", "2.8", "2.6"],
}


def found(**changes) -> dict[str, Finding]:
    """Findings by code in nine good rows with columns put in or replaced; {index: value} replaces single cells."""
    table = dict(GOOD)
    for name, cells in changes.items():
        column = name.replace("__", ":")
        if isinstance(cells, dict):
            table[column] = [cells.get(i, v) for i, v in enumerate(table[column])]
        else:
            table[column] = cells
    findings = [f for f in lint_runs(pl.DataFrame(table)).findings if f.code not in ("language-names",)]
    assert len({(f.code, f.severity) for f in findings}) == len(findings)
    return {f.code: f for f in findings}


def halves(*changed: tuple[int, float, float]) -> dict[str, list[float]]:
    deu, fra = [0.5] * 9, [0.5] * 9
    for i, a, b in changed:
        deu[i], fra[i] = a, b
    return {"share__deu_Latn": deu, "share__fra_Latn": fra}


def test_nothing_to_say_about_a_good_table():
    assert found() == {}
    report = lint_runs(pl.DataFrame(GOOD))
    assert report.ok
    assert (report.rows, report.unit, report.left_out) == (9, "nats/token", ())


@pytest.mark.parametrize(
    ("changes", "code", "rows"),
    [
        ({"loss": {3: "nan"}}, "nan-loss", (4,)),
        ({"loss": {3: "inf", 5: "-inf"}}, "nan-loss", (4, 6)),
        ({"loss": {8: None}}, "no-loss", (9,)),
        ({"loss": {8: "diverged"}}, "unreadable", (9,)),
        ({"loss": {0: "0"}}, "out-of-range", (1,)),
        ({"N": {2: "big"}}, "unreadable", (3,)),
        ({"N": {2: "-1e8"}}, "out-of-range", (3,)),
        ({"N": {2: None}}, "missing-value", (3,)),
        ({"N": {2: "100"}}, "odd-scale", (3,)),
        ({"D": {4: "2.0"}}, "odd-scale", (5,)),
        ({"D": {4: "0"}}, "zero-tokens", (5,)),
        ({"D": {4: "-1"}}, "out-of-range", (5,)),
        ({"target": ["deu_Latn"] * 8 + ["deu_latin"]}, "language-unknown", (9,)),
        ({"planned_tokens": ["1e9"] * 8 + ["1e12"]}, "unfinished", (9,)),
        ({"vocab_size": ["32000"] * 8 + ["256000"]}, "mixed-tokenizer", (9,)),
        ({"unit": ["nats/token"] * 8 + ["bits/token"]}, "mixed-units", (9,)),
        ({"unit": ["nats/token"] * 8 + ["furlongs"]}, "unknown-unit", (9,)),
        ({"unit": ["nats/token"] * 8 + [None]}, "unknown-unit", (9,)),
        (halves((1, 0.9, 0.8)), "shares-sum", (2,)),
        (halves((1, 0.5, 0.515)), "shares-sum", (2,)),
        (halves((1, 0.5, 0.505)), "shares-rounded", (2,)),
        (halves((4, 60, 40)), "shares-percent", (5,)),
        (halves((4, 1.2, -0.2)), "share-range", (5,)),
        ({"run": [*GOOD["run"][:8], None]}, "no-run-id", (9,)),
        ({"status": ["finished"] * 8 + ["weird"]}, "unknown-status", (9,)),
        ({"status": ["finished"] * 8 + ["Killed"]}, "unfinished", (9,)),
        ({"status": ["finished"] * 8 + ["diverged"]}, "diverged", (9,)),
        ({"target": ["deu_Latn"] * 8 + ["deu_Latin"]}, "language-unknown", (9,)),
        ({"init": [None] * 8 + ["hf:abc"]}, "mixed-init", (9,)),
        ({"vocab_size": ["10"] * 9, "loss": {0: "3.4"}}, "loss-above-uniform", tuple(range(1, 10))),
    ],
)
def test_one_fault(changes, code, rows):
    findings = found(**changes)
    assert set(findings) - {"loss-above-uniform"} == {code} - {"loss-above-uniform"}
    if code == "loss-above-uniform":
        rows = tuple(i + 1 for i, loss in enumerate([3.4, *GOOD["loss"][1:]]) if float(loss) > np.log(10))
    assert findings[code].rows == rows
    assert findings[code].severity == CODES[code].severity


def test_nothing_of_the_list_above_passes_where_it_would_be_refused_in_reading():
    """An error that reading raises is an error that lint names: never a table that is refused and called good."""
    for bad in ({"loss": "nan"}, {"loss": "0"}, {"N": "x"}, {"D": None}, {"D": "-3"}):
        table = {k: [bad.get(k, v) if i == 4 else v for i, v in enumerate(cells)] for k, cells in GOOD.items()}
        with pytest.raises(InputError):
            read_runs(pl.DataFrame(table))
        assert not lint_runs(pl.DataFrame(table)).ok


def test_rows_that_reading_leaves_out_are_not_judged():
    junk = found(status=["finished"] * 8 + ["running"], loss={8: "nan"}, N={8: "?"}, D={8: None})
    assert set(junk) == {"unfinished"}
    report = lint_runs(pl.DataFrame({**GOOD, "status": ["finished"] * 8 + ["running"]}))
    assert report.rows == 8
    assert [(r.row, r.run_id, r.reason) for r in report.left_out] == [(9, "r8", "status running")]
    assert report.ok


def test_ghosts_are_errors_unless_their_status_says_so():
    silent = found(loss={8: None}, D={8: None})
    assert set(silent) == {"ghost"}
    assert (silent["ghost"].severity, silent["ghost"].rows, silent["ghost"].runs) == ("error", (9,), ("r8",))
    said = found(loss={8: None}, D={8: None}, status=["finished"] * 8 + ["ghost"])
    assert (said["ghost"].severity, said["ghost"].rows) == ("warning", (9,))


def test_a_run_that_stopped_before_its_planned_steps():
    steps = [str(float(d) / 1e6) for d in GOOD["D"]]
    early = found(steps=steps, max_steps=[*steps[:8], "9000"])
    assert early["unfinished"].rows == (9,)
    assert "max_steps" in early["unfinished"].message
    assert found(steps=steps, max_steps=steps) == {}


def test_steps_and_tokens():
    steps = [float(d) / 1e6 for d in GOOD["D"]]
    assert found(steps=steps, batch_tokens=[1e6] * 9) == {}
    off = found(steps=[*steps[:8], 2 * steps[8]], batch_tokens=[1e6] * 9)
    assert off["tokens-mismatch"].rows == (9,)
    bare = {k: v for k, v in GOOD.items() if k != "D"}
    table = pl.DataFrame({**bare, "global_step": steps, "batch_tokens": [1e6] * 9})
    assert "no-tokens" in {f.code for f in lint_runs(table).findings}


def test_architecture_and_counts():
    # GPT-2 small: 124M in all, 85M without embeddings, two matrices to a feed-forward block.
    shape = {"n_layer": [12] * 9, "n_embd": [768] * 9, "n_head": [12] * 9, "vocab_size": [50257] * 9}
    shape |= {"tied": [True] * 9}

    def codes_of(total: float, **others) -> set[str]:
        table = {**GOOD, **shape, "N": [total] * 9, **others}
        return {f.code for f in lint_runs(pl.DataFrame(table)).findings} & {"params-mismatch", "params-which"}

    assert codes_of(124_439_808) == set()
    assert codes_of(85_056_000) == {"params-which"}
    assert codes_of(350e6) == {"params-mismatch"}
    assert codes_of(350e6, experts=[8] * 9) == set()
    # Untied, which the table does not say, is one more embedding.
    assert codes_of(124_439_808 + 50257 * 768, tied=[None] * 9) == set()
    assert codes_of(124_439_808 + 50257 * 768) == {"params-mismatch"}


def test_shares_that_are_not_those_trained_on():
    asked = halves()
    same = found(**asked, realised__deu_Latn=[0.51] * 9, realised__fra_Latn=[0.49] * 9)
    assert same == {}
    other = found(**asked, realised__deu_Latn=[0.5] * 8 + [0.6], realised__fra_Latn=[0.5] * 8 + [0.4])
    assert other["shares-realised"].rows == (9,)


def test_mixtures_as_json():
    mixture = ['{"de": 0.5, "fr": 0.5}'] * 6 + ['{"de": 60, "fr": 40}', '{"de": 0.9, "fr": 0.8}', '{"de": ']
    findings = found(mixture=mixture)
    assert findings["shares-percent"].rows == (7,)
    assert findings["shares-sum"].rows == (8,)
    assert findings["mixture-unreadable"].rows == (9,)


def test_two_columns_for_one_language():
    table = {**GOOD, "share:de": [0.5] * 9, "share:deu_Latn": [0.5] * 9, "share:fr": [0.5] * 9}
    with pytest.raises(InputError):
        read_runs(pl.DataFrame(table))
    assert "language-twice" in {f.code for f in lint_runs(pl.DataFrame(table)).findings}


def test_a_unit_that_the_name_contradicts():
    bare = {k: v for k, v in GOOD.items() if k != "loss"}
    table = pl.DataFrame({**bare, "bpb": GOOD["loss"], "unit": ["nats/token"] * 9})
    assert {f.code for f in lint_runs(table).findings} == {"unit-in-name"}


def curve(losses: list[float], **columns) -> dict[str, tuple[int, ...]]:
    n = len(losses)
    tokens = [1e9 * (i + 1) for i in range(n)]
    table = {"run": ["a"] * n, "N": [1e8] * n, "D": tokens, "loss": losses, "lr_phase": ["stable"] * n, **columns}
    codes = ("loss-spike", "loss-rises", "loss-above-start", "counter-restart", "nan-loss")
    return {f.code: f.rows for f in lint_runs(pl.DataFrame(table)).findings if f.code in codes}


def test_curves():
    falling = [5.0, 4.5, 4.0, 3.8, 3.6, 3.5]
    assert curve(falling) == {}
    assert curve([5.0, 4.5, 4.0, 5.5, 3.6, 3.5]) == {"loss-spike": (4,)}
    assert curve([5.0, 4.0, 3.0, 4.5, 4.4, 4.3]) == {"loss-rises": (4, 5, 6)}
    assert curve([5.0, 4.0, 3.0, 6.5, 7.4, 9.3]) == {"loss-above-start": (4, 5, 6)}
    assert curve([5.0, 4.0, 3.0, 2.9, float("nan"), float("nan")]) == {"nan-loss": (5, 6)}
    # A metric may rise.
    assert curve([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], unit=["metric"] * 6) == {}


def test_points_are_ordered_by_tokens_and_not_by_rows():
    shuffled = pl.DataFrame({"D": [3e9, 1e9, 4e9, 2e9, 6e9, 5e9], "loss": [4.0, 5.0, 3.8, 4.5, 3.5, 3.6]})
    assert curve(shuffled["loss"].to_list(), D=shuffled["D"].to_list()) == {}


def test_a_language_that_is_not_trained_on_may_get_worse():
    n = 6
    columns = {"target": ["fra_Latn"] * n, "share:deu_Latn": [1.0] * n, "share:fra_Latn": [0.0] * n}
    assert curve([5.0, 4.0, 3.0, 6.5, 7.4, 9.3], **columns) == {}


def test_counters_that_restart():
    losses = [5.0, 4.5, 4.0, 3.8, 3.6, 3.5]
    restarted = [1e9, 2e9, 3e9, 1e9, 2e9, 3e9]
    assert curve(losses, D=restarted, step=[1, 2, 3, 4, 5, 6])["counter-restart"] == (4, 5, 6)
    assert curve(losses, D=restarted)["counter-restart"] == (4, 5, 6)
    # Steps that restart with the tokens are a resumed log, not a broken counter.
    assert "counter-restart" not in curve(losses, D=restarted, step=[1, 2, 3, 1, 2, 3])
    assert "counter-restart" not in curve(losses, D=list(reversed(restarted[:3])) * 2)


def test_finished_models_are_no_points_of_their_trunk():
    losses = [5.0, 4.5, 4.0, 3.0, 3.9, 3.8]
    tokens = [1e9, 2e9, 3e9, 3e9, 4e9, 5e9]
    assert curve(losses, D=tokens, lr_phase=["stable"] * 3 + ["final"] + ["stable"] * 2) == {}


def test_one_run_under_two_names_and_two_under_one():
    losses = [f"{float(v) + 0.01234:.5f}" for v in GOOD["loss"]]
    N, D = [*GOOD["N"][:8], GOOD["N"][7]], [*GOOD["D"][:8], GOOD["D"][7]]
    copied = found(loss=[*losses[:8], losses[7]], N=N, D=D)
    assert copied["copied-run"].rows == (8, 9)
    both = found(run=[*GOOD["run"][:8], "r0"])
    assert both["run-conflict"].rows == (1, 9)


def test_options(tmp_path):
    bare = {"name": GOOD["run"], "my_params": GOOD["N"], "D": GOOD["D"], "score": GOOD["loss"], "use": [1] * 8 + [0]}
    path = tmp_path / "runs.csv"
    pl.DataFrame(bare).write_csv(path)
    with pytest.raises(InputError, match="no loss column"):
        lint_runs(path)
    report = lint_runs(path, columns={"N": "my_params", "loss": "score"}, where="use=1", unit="bits/byte")
    assert (report.rows, report.unit, len(report.left_out)) == (8, "bits/byte", 1)
    assert report.findings == ()


def test_conditions_on_what_is_only_known_later():
    bare = {k: v for k, v in GOOD.items() if k != "D"}
    C = [str(6 * float(n) * float(d)) for n, d in zip(GOOD["N"], GOOD["D"], strict=True)]
    mixture = ['{"de": 0.5, "fr": 0.5}'] * 7 + ['{"de": 1.0}', '{"de": 1.0, "fr": 0.7}']
    table = pl.DataFrame({**bare, "C": [*C[:8], "x"], "mixture": mixture})
    report = lint_runs(table, where=["share:de<1", "tokens<3e9"])
    assert report.rows == 5
    assert report.ok
    assert {f.code: f.rows for f in lint_runs(table, where="share:de=1").findings if f.severity == "error"} == {
        **{"unreadable": (9,), "shares-sum": (9,)},
    }
    assert any("D = C / (6 N)" in note for note in report.notes)


def test_what_cannot_be_read_at_all_is_an_error(tmp_path):
    for name, data in (("a.csv", b""), ("a.parquet", b"PAR1xx"), ("a.csv", b"a,b\n1\n")):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(InputError):
            lint_runs(path)
    with pytest.raises(InputError):
        lint_runs(tmp_path / "missing.csv")


def test_wide_losses():
    bare = {k: v for k, v in GOOD.items() if k != "loss"}
    table = {**bare, "eval/de/loss": GOOD["loss"], "eval/fr/loss": [*GOOD["loss"][:8], "nan"]}
    report = lint_runs(pl.DataFrame(table))
    (nan,) = [f for f in report.findings if f.severity == "error"]
    assert (nan.code, nan.rows) == ("nan-loss", (9,))
    assert report.rows == 18


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("seed", range(3))
def test_clean_simulated_tables_have_no_error(name, seed):
    frame = DESIGNS[name]().frame(noise=2e-3, seed=seed)
    frame = frame.with_columns(run_id=pl.Series([f"run{i}" for i in range(frame.height)]))
    report = lint_runs(frame)
    assert [f for f in report.findings if f.severity == "error"] == []
    assert [f for f in lint(read_runs(frame)) if f.severity == "error"] == []


@pytest.mark.parametrize("name", DESIGNS)
def test_a_table_that_was_read_and_its_file_get_the_same_findings(name):
    frame = DESIGNS[name]().frame().with_columns(tokenizer=pl.lit("a"), status=pl.lit("finished"))
    table = read_runs(frame)
    assert isinstance(table, RunTable)
    of_file = {f.code: f.rows for f in lint_runs(frame).findings if f.code not in ("language-names", "shares-rounded")}
    assert {f.code: f.rows for f in lint(table)} == of_file


CELLS = st.sampled_from(
    (
        *(
            None,
            "",
            "nan",
            "inf",
            "-1",
            "0",
            "1",
            "2.5",
            "1e9",
            "1e400",
            "70M",
            "x",
            "true",
            "finished",
            "ghost",
            "running",
        ),
        *("deu_Latn", "swh_Latin", "nats/token", "bpb", "{}", "{", "{rows}", "[]"),
        *('{"de": 1.7}', '{"de": "x"}', '{"de": 60, "fr": 40}'),
    )
)
NAMES = (
    *("run_id", "target", "N", "params_non_embedding", "D", "C", "loss", "unit", "status", "mixture", "use", "steps"),
    *("batch_tokens", "max_steps", "share:de", "share:fr", "unique:de", "realised:de", "layers", "d_model", "heads"),
    *("vocab_size", "epochs", "unique_tokens", "lr_phase", "eval_set", "tokenizer", "init", "target_tokens", "shape"),
)


@settings(max_examples=100, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.data())
def test_anything_may_stand_in_a_cell(data):
    """Whatever a table holds, lint answers, or says in words why it cannot be read; and every finding stands for rows
    of the file."""
    names = data.draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=12))
    names = [n for n in names if n != "mixture" or not any(m.startswith("share") for m in names)]
    rows = data.draw(st.integers(1, 8))
    table = {n: data.draw(st.lists(CELLS, min_size=rows, max_size=rows)) for n in dict.fromkeys([*names, "loss"])}
    try:
        report = lint_runs(pl.DataFrame(table, schema=dict.fromkeys(table, pl.String)))
    except InputError:
        return
    for finding in report.findings:
        assert finding.code in CODES
        assert finding.cure
        assert all(1 <= row <= rows for row in finding.rows)
    json.dumps(report.to_dict())
    (kept,) = fixed(report).rows.values()
    assert kept <= rows
