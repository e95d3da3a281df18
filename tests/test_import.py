"""runs import: from logged runs to a study folder, again and again, without losing a point in silence."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from imports import MAP, FakeSource, curve, run, series
from isogloss.errors import InputError
from isogloss.fitting import fit
from isogloss.runs import lint, read_runs
from isogloss.runs.importing import import_runs
from isogloss.runs.importing.logged import LoggedRun, Trouble


def evals(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "evals.parquet")


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# --- the tables ------------------------------------------------------------------------------------------


def test_a_run_becomes_rows_of_all_three_tables(tmp_path):
    report = import_runs(
        FakeSource([curve(batch=4, length=250, seed=3)]), tmp_path / "s", {**MAP, "extra": {"b": "batch"}}
    )
    row = pl.read_parquet(tmp_path / "s" / "runs.parquet").row(0, named=True)
    assert (row["run_id"], row["params_total"], row["batch_tokens"], row["status"]) == ("a", 10**8, 1000, "finished")
    assert (row["source"], row["b"]) == ("fake: here", 4)
    exposure = pl.read_parquet(tmp_path / "s" / "exposure.parquet")
    assert exposure.select("language", "share").rows() == [("swh_Latn", 0.5), ("eng_Latn", 0.5)]
    table = evals(tmp_path / "s")
    assert table["tokens"].to_list() == [10_000, 20_000, 30_000, 40_000, 50_000] * 2
    assert table["language"].unique(maintain_order=True).to_list() == ["swh_Latn", "eng_Latn"]
    assert report.losses == 10
    assert report.read == report.kept == 15


def test_it_is_read_and_linted_and_fitted(tmp_path):
    rng = np.random.default_rng(0)
    runs = []
    for i, (N, last) in enumerate((n, s) for n in (1e7, 3e7, 1e8, 3e8) for s in (100, 300, 1000, 3000)):
        steps = np.arange(last // 20, last + 1, last // 20)
        loss = (1.7 + 400 / N**0.34 + 400 / (steps * 1e6) ** 0.28) * np.exp(rng.normal(0, 0.002, len(steps)))
        metrics = {"eval/sw/loss": series(steps.tolist(), loss.tolist())}
        runs.append(LoggedRun(f"r{i}", f"r{i}", "finished", {"N": N, "step": 1e6}, metrics))
    mapping = {**MAP, "tokens": {"per_step": "step"}, "run": {"params_total": "N"}}
    import_runs(FakeSource(runs), tmp_path / "s", mapping)
    table = read_runs(tmp_path / "s")
    assert len(table) == 16
    assert table.unit == "nats/token"
    assert any("16 runs without learning-rate phases the last point" in note for note in table.notes)
    assert any("304 of 320 points" in note for note in table.notes)
    assert not [f for f in lint(table) if f.severity == "error"]
    answer = fit("chinchilla", tmp_path / "s", draws=0)
    assert 0.2 < next(e.value for e in answer.coefficients if e.name == "alpha") < 0.5
    assert len(read_runs(tmp_path / "s", where="lr_phase=")) == 320


def test_learning_rate_phases_say_which_models_are_finished(tmp_path):
    steps = list(range(100, 1100, 100))
    rate = [0.5, *[1.0] * 6, 0.6, 0.3, 0.05]
    losses = [3 + 1 / s for s in steps]
    both = {"eval__sw__loss": (steps, losses), "tokens": (steps, [1e3 * s for s in steps]), "lr": (steps, rate)}
    runs = [run("done", **both), run("cut", "killed", **both), run("untold", "", **both)]
    import_runs(FakeSource(runs), tmp_path / "s", {**MAP, "learning_rate": {"metric": "lr"}})
    phases = evals(tmp_path / "s").filter(pl.col("run_id") == "done")["lr_phase"].to_list()
    assert phases == ["warmup", *["stable"] * 6, "decay", "decay", "final"]
    table = read_runs(tmp_path / "s")
    assert table.frame["run_id"].to_list() == ["done", "untold"]
    assert table.frame["tokens"].to_list() == [1e6, 1e6]
    assert any("1 runs have no finished model" in note for note in table.notes)


def test_no_finished_model_says_what_to_read_instead(tmp_path):
    steps = [10, 20, 30]
    metrics = {"eval__sw__loss": (steps, [3, 2.5, 2]), "tokens": (steps, steps), "lr": (steps, [1, 1, 1])}
    report = import_runs(FakeSource([run(**metrics)]), tmp_path / "s", {**MAP, "learning_rate": {"metric": "lr"}})
    assert report.lacking[-1].endswith(f"isogloss fit {tmp_path}/s --law chinchilla --where lr_phase=stable")
    with pytest.raises(InputError, match="lr_phase=stable"):
        read_runs(tmp_path / "s")
    assert len(read_runs(tmp_path / "s", where="lr_phase=stable")) == 3


def test_the_unit_of_most_runs_is_read(tmp_path):
    losses = {"eval/{language}/loss": "nats/token", "eval/{language}/bpb": "bits/byte"}
    runs = [run(k, eval__sw__loss=([9], [3]), tokens=([9], [9e6])) for k in "abc"]
    runs.append(run("d", eval__sw__bpb=([9], [0.9]), tokens=([9], [9e6])))
    import_runs(FakeSource(runs), tmp_path / "s", {**MAP, "losses": losses})
    table = read_runs(tmp_path / "s")
    assert (table.unit, len(table)) == ("nats/token", 3)
    assert "there is also bits/byte (1 runs)" in table.notes[0]
    assert len(read_runs(tmp_path / "s", unit="bits/byte")) == 1


# --- what is left out is said ------------------------------------------------------------------------------


def test_reasons_add_up_and_the_worst_comes_first(tmp_path):
    steps = [10, 20, 20, 30, 40, 50]
    losses = [3, np.nan, 2.9, 2.8, 2.7, 2.6]
    one = run(eval__sw__loss=(steps, losses), tokens=([20, 40], [2e4, 4e4]), other=(steps, losses))
    report = import_runs(FakeSource([one]), tmp_path / "s", MAP)
    (account,) = report.runs
    loss = next(m for m in account.metrics if m.metric == "eval/sw/loss")
    # The counter grows from zero: 10 steps are 10,000 tokens. Nothing is known beyond its end.
    assert loss.left_out == {"duplicate of the same step": 1, "after the last token count": 1}
    assert evals(tmp_path / "s")["tokens"].to_list() == [10_000, 20_000, 30_000, 40_000]
    assert report.left_out()[-1] == ("other", "not mapped", 6, 1)
    saved = json.loads((tmp_path / "s" / "import.json").read_text())
    assert saved["totals"]["read"] == saved["totals"]["kept"] + sum(saved["totals"]["left_out"].values()) == 14


def test_lost_points_count_as_logged(tmp_path):
    one = curve()
    cut = LoggedRun(one.key, one.name, "", one.config, one.metrics, (Trouble("a.jsonl", "cut short", lost=7),))
    source = FakeSource([cut], troubles=[Trouble("all", "a file is gone", "", 2)])
    report = import_runs(source, tmp_path / "s", MAP)
    assert (report.logged, report.read, report.lost) == (24, 15, 9)


def test_a_run_that_ends_in_nan_diverged(tmp_path):
    steps = [1, 2, 3]
    one = run(eval__sw__loss=(steps, [3, 2, np.inf]), eval__en__loss=(steps, [3, np.nan, 2]), tokens=(steps, steps))
    report = import_runs(FakeSource([one, curve("b")]), tmp_path / "s", MAP)
    assert [r.status for r in report.runs] == ["diverged", "finished"]
    assert report.reasons() == {"not a number": 2}


def test_runs_without_points_are_ghosts(tmp_path):
    empty = run("empty", eval__sw__loss=([], []))
    report = import_runs(FakeSource([curve(), empty, run("none")]), tmp_path / "s", MAP)
    assert report.statuses() == {"ghost": 2, "finished": 1}
    assert pl.read_parquet(tmp_path / "s" / "runs.parquet").height == 3


def test_totals_and_names_that_are_no_languages(tmp_path):
    steps = [1, 2]
    metrics = {f"eval__{name}__loss": (steps, [3, 2]) for name in ("sw", "pile_cc", "average", "qqx")}
    report = import_runs(FakeSource([run(**metrics, tokens=(steps, steps))]), tmp_path / "s", MAP)
    assert report.languages == ["pile_cc", "qqx", "swh_Latn"]
    assert ("eval/average/loss", "a total over languages", 2, 1) in report.left_out()
    assert any("kept as named: pile_cc, qqx" in note for note in report.notes)
    mapping = {**MAP, "languages": {"average": "fin", "pile_cc": "eng_Latn"}}
    again = import_runs(FakeSource([run(**metrics, tokens=(steps, steps))]), tmp_path / "s", mapping)
    assert again.languages == ["eng_Latn", "fin_Latn", "qqx", "swh_Latn"]


def test_what_was_not_found_is_noted(tmp_path):
    report = import_runs(FakeSource([curve("a"), curve("b", batch=2, length=5)]), tmp_path / "s", MAP)
    assert "batch_tokens: not found in 1 of 2 runs (batch * length)." in report.notes


def test_perplexities_become_losses(tmp_path):
    steps = [1, 2, 3, 4, 5]
    values = [math.e**3, 0.0, math.nan, math.inf, math.e**2]
    one = run(eval__sw__ppl=(steps, values), err__sw=(steps, values), tokens=(steps, steps))
    losses = {"eval/{language}/ppl": {"unit": "ppl", "stderr": "err/{language}"}}
    report = import_runs(FakeSource([one]), tmp_path / "s", {**MAP, "losses": losses})
    table = evals(tmp_path / "s")
    assert table["loss"].to_list() == pytest.approx([3, 2])
    # To first order the error of a logarithm is relative: here each error is as large as its value.
    assert table["stderr"].to_list() == pytest.approx([1, 1])
    assert set(table["unit"]) == {"nats/token"}
    account = next(m for m in report.runs[0].metrics if m.metric == "eval/sw/ppl")
    assert account.left_out == {"not a number": 1, "an infinite perplexity": 1, "a perplexity below 1": 1}
    assert account.use == "loss of swh_Latn in nats/token, the logarithm of its perplexity/token"
    assert any("kept as its logarithm" in note for note in report.notes)
    both = {"eval/{language}/ppl": "ppl", "eval/{language}/loss": "nats/token"}
    two = run(eval__sw__ppl=(steps, values), eval__sw__loss=(steps, values), tokens=(steps, steps))
    with pytest.raises(InputError, match="both the loss of swh_Latn in nats/token"):
        import_runs(FakeSource([two]), tmp_path / "t", {**MAP, "losses": both})


def test_settings_that_a_log_repeats_are_not_called_unmapped(tmp_path):
    one = curve(batch=2, length=5)
    steps = [10, 20]
    repeated = {name: series(steps, [1, 1]) for name in ("N", "batch", "mix.sw", "other")}
    report = import_runs(
        FakeSource([LoggedRun("a", "a", "", one.config, {**one.metrics, **repeated})]), tmp_path / "s", MAP
    )
    told = {metric: why for metric, why, _, _ in report.left_out()}
    assert told == {**dict.fromkeys(("N", "batch", "mix.sw"), "read as a setting of the run"), "other": "not mapped"}


# --- what a law will lack ----------------------------------------------------------------------------------


def test_what_a_law_will_lack_is_said_with_where_it_may_stand(tmp_path):
    steps = [10, 20]
    settings = {"N": None, "n_params": 1e8, "q_sw": 0.4, "q_en": 0.6, "batch_size": 8, "seq_len": 512}
    losses = {"eval__sw__loss": (steps, [3, 2]), "lr": (steps, [1e-3, 1e-3])}
    runs = [run("bare", "finished", settings, **losses), curve("whole")]
    mapping = {**MAP, "learning_rate": {"metric": "lr"}}
    report = import_runs(FakeSource(runs), tmp_path / "s", mapping)
    size, tokens, shares = report.lacking
    assert size.startswith("N, in 1 of 2 runs (bare): no law can be fitted to them. They have no N.")
    assert size.endswith('\nUnder [run]: params_total = "n_params"')
    assert f"else {tmp_path}/s/map.toml" in shares
    assert "2 points of losses are left out" in tokens
    assert 'Under [tokens]: per_step = "batch_size * seq_len"' in tokens
    assert 'Under [mixture]: share = "q_{language}"' in shares
    assert import_runs(FakeSource(runs), tmp_path / "s").lacking == report.lacking
    cured = {**mapping, "run": {"params_total": ["N", "n_params"]}, "tokens": {**MAP["tokens"], "per_step": "4096"}}
    (again, finished) = import_runs(FakeSource(runs), tmp_path / "s", cured).lacking
    assert again == shares
    assert finished.startswith("a finished model, in 1 of 2 runs (bare)")
    with pytest.raises(InputError, match=r"Under \[tokens\]: per_step = "):
        import_runs(FakeSource(runs[:1]), tmp_path / "t", MAP)
    assert import_runs(FakeSource(runs[1:]), tmp_path / "u", MAP).lacking == ()


# --- again -----------------------------------------------------------------------------------------------


def test_importing_twice_changes_nothing(tmp_path):
    source = FakeSource([curve("a"), curve("b", points=7)])
    import_runs(source, tmp_path / "s", MAP)
    before = files(tmp_path / "s")
    report = import_runs(source, tmp_path / "s", MAP)
    assert files(tmp_path / "s") == before
    assert source.reads == ["a", "b"]
    assert (report.new, report.changed, report.known, report.read) == (0, 0, 2, 36)
    assert import_runs(source, tmp_path / "s").known == 2  # by the map.toml of the first time


def test_later_only_what_is_new_is_read(tmp_path):
    import_runs(FakeSource([curve("a"), curve("b")]), tmp_path / "s", MAP)
    later = FakeSource([curve("a"), curve("b", points=9), curve("c")], {"b": "2"})
    report = import_runs(later, tmp_path / "s", MAP)
    assert later.reads == ["b", "c"]
    assert (report.new, report.changed, report.known) == (1, 1, 1)
    whole = import_runs(FakeSource([curve("a"), curve("b", points=9), curve("c")]), tmp_path / "t", MAP)
    assert evals(tmp_path / "s").equals(evals(tmp_path / "t"))
    assert report.losses == whole.losses


def test_another_mapping_reads_all_again(tmp_path):
    import_runs(FakeSource([curve()]), tmp_path / "s", MAP)
    source = FakeSource([curve()])
    import_runs(source, tmp_path / "s", {**MAP, "losses": {"eval/sw/loss": {"language": "sw", "unit": "bpb"}}})
    assert source.reads == ["a"]
    assert evals(tmp_path / "s")["unit"].unique().to_list() == ["bits/byte"]


def test_a_run_that_is_gone_stays_and_is_noted(tmp_path):
    import_runs(FakeSource([curve("a"), curve("b")]), tmp_path / "s", MAP)
    report = import_runs(FakeSource([curve("b")]), tmp_path / "s", MAP)
    assert report.gone == 1
    assert "no longer in the source, and kept: a (1 runs)." in report.notes
    assert set(evals(tmp_path / "s")["run_id"]) == {"a", "b"}
    assert import_runs(FakeSource([curve("a"), curve("b")]), tmp_path / "s", MAP).gone == 0


def test_an_interrupted_import_goes_on(tmp_path):
    runs = [curve(k) for k in "abc"]

    def stop(key: str) -> None:
        if key == "c":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_runs(FakeSource(runs, failing=stop), tmp_path / "s", MAP)
    source = FakeSource(runs)
    import_runs(source, tmp_path / "s", MAP)
    assert source.reads == ["c"]
    import_runs(FakeSource(runs), tmp_path / "t", MAP)
    assert evals(tmp_path / "s").equals(evals(tmp_path / "t"))


def test_a_damaged_part_is_read_again(tmp_path):
    source = FakeSource([curve("a"), curve("b")])
    import_runs(source, tmp_path / "s", MAP)
    before = evals(tmp_path / "s")
    parts = sorted((tmp_path / "s" / "parts").glob("*.json"))
    parts[0].write_text(parts[0].read_text()[:50])
    sorted((tmp_path / "s" / "parts").glob("*.parquet"))[1].unlink()
    assert import_runs(source, tmp_path / "s", MAP).losses == before.height
    assert source.reads == ["a", "b", "a", "b"]
    assert evals(tmp_path / "s").equals(before)


def test_a_run_that_cannot_be_read_does_not_stop_the_others(tmp_path):
    def fail(key: str) -> None:
        if key == "b":
            raise InputError("locked", where="b.db", hint="Stop the server.")

    report = import_runs(FakeSource([curve(k) for k in "abc"], failing=fail), tmp_path / "s", MAP)
    assert [r.run_id for r in report.runs] == ["a", "c"]
    assert report.troubles[0]["what"] == "cannot be read: locked"
    later = FakeSource([curve(k) for k in "abc"])
    import_runs(later, tmp_path / "s", MAP)
    assert later.reads == ["b"]


def test_run_ids_are_readable_unique_and_stay(tmp_path):
    def named(key: str, name: str) -> LoggedRun:
        one = curve(key)
        return LoggedRun(key, name, "finished", one.config, one.metrics)

    import_runs(FakeSource([named("x1", "big"), named("x2", "big")]), tmp_path / "s", MAP)
    report = import_runs(
        FakeSource([named("x3", "big"), named("x2", "big"), named("x1", "renamed")], {"x1": "2"}), tmp_path / "s", MAP
    )
    assert {r.key: r.run_id for r in report.runs} == {"x1": "big", "x2": "big-x2", "x3": "big-x3"}


def test_runs_are_taken_by_name(tmp_path):
    source = FakeSource([curve(k) for k in ("sweep-1", "sweep-2", "debug")])
    mapping = {**MAP, "runs": {"match": "sweep-*", "skip": "*-2"}}
    report = import_runs(source, tmp_path / "s", mapping)
    assert [r.run_id for r in report.runs] == ["sweep-1"]
    assert report.skipped == 2
    assert import_runs(source, tmp_path / "s", mapping).skipped == 2
    assert len(source.reads) == 3


# --- refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({**MAP, "losses": {"eval/{language}/los": "nats/token"}}, r"no metric fits.*\n.*Near ones: eval/"),
        ({**MAP, "tokens": {}}, "no token count in this run \\(10 points\\)"),
        ({**MAP, "runs": {"match": "x*"}}, "1 runs are left out by"),
    ],
)
def test_a_mapping_that_maps_nothing(tmp_path, mapping, said):
    with pytest.raises(InputError, match=said):
        import_runs(FakeSource([curve()]), tmp_path / "s", mapping)
    assert not (tmp_path / "s" / "manifest.json").exists()


def test_two_metrics_of_one_language_and_unit(tmp_path):
    metrics = {"eval__sw__loss": ([1], [3]), "eval__swh__loss": ([1], [3]), "tokens": ([1], [1])}
    with pytest.raises(InputError, match="'eval/sw/loss' and 'eval/swh/loss' are both the loss of swh_Latn"):
        import_runs(FakeSource([run(**metrics)]), tmp_path / "s", MAP)


def test_folders_that_are_not_an_imports(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "study.toml").touch()
    for name, said in (("full", "holds other files"), ("lab", "isogloss study run"), ("full/thesis.tex", "is a file")):
        with pytest.raises(InputError, match=said):
            import_runs(FakeSource([curve()]), tmp_path / name, MAP)


def test_another_source_is_not_mixed_in(tmp_path):
    import_runs(FakeSource([curve("a")]), tmp_path / "s", MAP)
    before = files(tmp_path / "s")
    with pytest.raises(InputError, match="holds the import of fake: here"):
        import_runs(FakeSource([curve("z")], said="fake: there"), tmp_path / "s", MAP)
    with pytest.raises(InputError, match="holds no runs"):
        import_runs(FakeSource([]), tmp_path / "s", MAP)
    assert files(tmp_path / "s") == before
