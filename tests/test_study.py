"""Studies: the file, the grid of runs that it means, the verbs, and the table that fits read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import transformers

from isogloss.cli.main import run as isogloss
from isogloss.errors import InputError
from isogloss.runs import Architecture, read_runs
from isogloss.runs.ladder import RUNGS, atlas_shape, rung
from isogloss.runs.study_table import EVALS, EXPOSURE, MANIFEST, RUNS
from isogloss.sweeps.grid import TextFacts, init_run, jobs_of, mixtures_of
from isogloss.sweeps.layout import read_jobs, run_folder, state_of
from isogloss.sweeps.status import mixture_label, survey
from isogloss.sweeps.study import Runs, Study, check_study, read_study
from isogloss.training.job import Job
from studies import BATCH, CONTEXT, TINY_SHAPE, block, tiny_study

CODES = ("est", "fin", "swh")
FACTS = TextFacts(
    tokens={"ekk_Latn": 1_000_000, "fin_Latn": 4_000_000, "swh_Latn": 100_000},
    rehydrated={"ekk_Latn": 2e6, "fin_Latn": 4e6, "swh_Latn": 2e6},
    hashes={"ekk_Latn": "a", "fin_Latn": "b", "swh_Latn": "c"},
    tokenizer="bytes",
    vocab_size=256,
)


def study(*blocks: dict[str, Any], **more: Any) -> Study:
    texts = {code: {"text": f"{code}.txt"} for code in CODES}
    return check_study({"languages": texts, "runs": list(blocks), **more}, "study.toml")


def grid(*blocks: dict[str, Any], folder: Path = Path(), **more: Any) -> list[Job]:
    return jobs_of(study(*blocks, **more), FACTS, folder)


def runs(**changes: Any) -> dict[str, Any]:
    return {"mixture": "monolingual", "sizes": ["0.1M"], "tokens": ["0.5M"], **changes}


# --- the ladder -----------------------------------------------------------------------------------------

# arXiv:2510.22037, Table B.3, in order. The last does not follow from its own columns.
# fmt: off
PUBLISHED = (
    9044352, 17662848, 24847776, 45763200, 66588672, 84939840, 106830080, 126492800, 146155520, 162800640, 191114496,
    219428352, 237646080, 263337984, 289029888, 334512128, 368068608, 401625088, 554457600, 633104640, 661807872,
    711751680, 756970368, 816345600, 852132864, 929596416, 1042847232, 1143245824, 1297391872, 1451537920, 1608560640,
    1807137536, 1809893376, 2011226112, 2034422912, 2187122688, 2261708288, 2526870528, 2866618368, 2891514880,
    3310955520, 3730396160, 4335303168, 4749364224, 5182299648, 5634109440, 8452190208, 11538702336, 14314315520,
    15245973504, 15821655552, 17402920192,
)
# fmt: on


def test_the_ladder_holds_atlas_with_its_counts() -> None:
    assert tuple(atlas_shape(i).params_total for i in range(len(PUBLISHED))) == PUBLISHED
    assert len([r for r in RUNGS if r.startswith("atlas-")]) == 53


def test_rungs_have_the_size_of_their_names() -> None:
    for name in RUNGS[: RUNGS.index("atlas-0")]:
        assert rung(name, 256).params_non_embedding == pytest.approx(float(name[:-1]) * 1e6, rel=0.15), name
    assert rung("atlas-0", 64_512, tied=True).params_total == PUBLISHED[0] + (3 + 1) * 128  # Llama's further norms


def test_a_size_that_is_no_rung_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no rung '0.4M'\n.*'0.33M' \(332K.*'0.55M'"):
        grid(runs(sizes=["0.4M"]))
    with pytest.raises(InputError, match="unknown rung 'small'"):
        grid(runs(sizes=["small"]))


# --- mixtures -------------------------------------------------------------------------------------------


def shares_of(**changes: Any) -> list[dict[str, float]]:
    made = study(runs(**changes))
    return mixtures_of(made.runs[0], made, FACTS)


def test_every_mixture() -> None:
    e, f, s = "ekk_Latn", "fin_Latn", "swh_Latn"
    assert shares_of() == [{e: 1.0}, {f: 1.0}, {s: 1.0}]
    assert shares_of(mixture="pairs") == [{e: 0.5, f: 0.5}, {e: 0.5, s: 0.5}, {f: 0.5, s: 0.5}]
    assert shares_of(mixture="pairs", targets=["swh"]) == [{e: 0.5, s: 0.5}, {f: 0.5, s: 0.5}]
    assert shares_of(mixture="pairs", pairs=[["swh", "est"]]) == [{s: 0.5, e: 0.5}]
    assert shares_of(mixture="even", K=[2, 3]) == [{e: 0.5, f: 0.5}, {e: 1 / 3, f: 1 / 3, s: 1 / 3}]
    assert len(shares_of(mixture="even", K=2, count=3)) == 3
    assert shares_of(mixture="shares", shares={"est": 0.7, "fin": 0.3}) == [{e: 0.7, f: 0.3}]
    assert shares_of(mixture="proportional")[0] == {e: 0.196078, f: 0.784314, s: 0.019608}
    assert shares_of(mixture="temperature", T=1e9)[0] == pytest.approx({e: 1 / 3, f: 1 / 3, s: 1 / 3}, abs=1e-5)
    # 1.2M tokens: Swahili's four epochs are 0.4M, which is its even part; the rest is shared evenly.
    assert shares_of(mixture="unimax", tokens="1.2M")[0] == pytest.approx({e: 1 / 3, f: 1 / 3, s: 1 / 3}, abs=1e-5)
    assert shares_of(mixture="unimax", tokens="1.2M", max_epochs=1)[0] == pytest.approx(
        {e: 0.55 / 1.2, f: 0.55 / 1.2, s: 0.1 / 1.2}, abs=1e-5
    )
    assert shares_of(mixture="rehydrated")[0] == {e: 0.25, f: 0.5, s: 0.25}
    drawn = shares_of(mixture="dirichlet", count=5)
    assert len(drawn) == 5
    assert drawn == shares_of(mixture="dirichlet", count=5)
    assert drawn != shares_of(mixture="dirichlet", count=5, draw=1)
    assert all(sum(d.values()) == pytest.approx(1, abs=1e-9) for d in drawn)


# --- what a run is ----------------------------------------------------------------------------------------


def test_equal_runs_of_two_blocks_are_one_with_all_ends() -> None:
    jobs = grid(runs(tokens=["0.5M", "1M"]), runs(tokens="2M", languages=["est"]))
    assert [len(job.ends) for job in jobs] == [3, 2, 2]
    assert jobs[0].spec.tokens == jobs[0].ends[-1]


def test_what_is_added_leaves_the_old_runs_as_they_were() -> None:
    before = {job.run_id for job in grid(runs())}
    for added in (
        grid(runs(seeds=[0, 1])),
        grid(runs(sizes=["0.1M", "1M"])),
        grid(runs(tokens=["0.5M", "4M"])),
        grid(runs(), runs(mixture="pairs")),
        grid(runs(), machine={"workers": 7, "device": "cpu", "threads": 3}, evaluation={"bytes": "5 KB"}),
        grid(runs(learning_rate=None)),
    ):
        assert before <= {job.run_id for job in added}


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": [1]},
        {"sizes": ["0.2M"]},
        {"learning_rate": 1e-4},
        {"unique": "50K"},
        {"training": {"batch_tokens": 4096}},
        {"training": {"decay": 0.1}},
        {"training": {"warmup": 0}},
        {"training": {"tied": True}},
    ],
    ids=str,
)
def test_what_changes_a_run_makes_it_new(change: dict[str, Any]) -> None:
    training = {"training": change["training"]} if "training" in change else {}
    changed = {k: v for k, v in change.items() if k != "training"}
    assert not {j.run_id for j in grid(runs())} & {j.run_id for j in grid(runs(**changed), **training)}


def test_other_text_makes_other_runs_only_where_it_is_used() -> None:
    other = TextFacts(FACTS.tokens, FACTS.rehydrated, {**FACTS.hashes, "swh_Latn": "new"}, "bytes", 256)
    before, after = (jobs_of(study(runs()), facts, Path()) for facts in (FACTS, other))
    assert [a.run_id == b.run_id for a, b in zip(before, after, strict=True)] == [True, True, False]


def test_a_job_survives_json() -> None:
    for job in grid(runs(mixture="pairs", unique={"est": "50K"})):
        assert Job.from_json(job.to_json()) == job


def test_unique_text_is_whole_windows() -> None:
    job = grid(runs(unique={"est": "50K"}))[0]
    assert job.spec.unique_tokens == {"ekk_Latn": 50_000 // 128 * 128}
    assert grid(runs())[2].spec.unique_tokens == {"swh_Latn": 99_999 // 128 * 128}


def test_a_run_starts_from_the_run_of_its_seed() -> None:
    jobs = grid(
        runs(name="all", mixture="even", seeds=[0, 1], tokens=["0.5M", "1M"]),
        runs(languages=["est"], seeds=[1], init="all"),
    )
    by_seed = {job.seed: job for job in jobs[:2]}
    assert init_run(jobs[2]) == (by_seed[1].run_id, by_seed[1].ends[-1])
    assert jobs[2].spec.init == f"{by_seed[1].run_id}@{by_seed[1].ends[-1]}"
    assert init_run(jobs[0]) is None


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (runs(init="none"), "unknown start 'none'"),
        (runs(init="many"), "block 'many' has 3 runs of shape"),
        (runs(init="many", sizes=["1M"]), "has 0 runs of shape"),
    ],
)
def test_a_start_that_is_not_one_run_is_refused(second: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        grid(runs(name="many"), second)


# --- study.toml -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"languages": {}}, "no languages"),
        ({"languages": {"est": {}}}, "languages.ekk_Latn: needs one of text, dataset and clone_of, has neither"),
        ({"languages": {"est": {"text": "a", "dataset": "b"}}}, "has text and dataset"),
        ({"languages": {"est": {"text": "a"}, "ekk_Latn": {"text": "a"}}}, "ekk_Latn is there twice"),
        ({"languages": {"est": {"txt": "a"}}}, r"unknown key 'txt'\n.*'text'"),
        ({"languages": {"est": {"text": "a"}, "x_clone": {"clone_of": "fin"}}}, "unknown original 'fin_Latn'"),
        ({"training": {"batch_token": 5}}, r"training: unknown key 'batch_token'\n.*'batch_tokens'"),
        ({"training": {"decay": 1.5}}, r"training.decay: .* \(got 1.5\)"),
        ({"training": {"batch_tokens": "4 GB"}}, "training.batch_tokens: '4 GB'"),
        ({"machine": {"device": "tpu"}}, "machine.device"),
        ({"runs": []}, "no runs"),
        ({"runs": [runs(mixture="pear")]}, r"runs block 1.mixture: unknown mixture 'pear'\n.*'pairs'"),
        ({"runs": [runs(targets=["est"])]}, r"targets means nothing to mixture 'monolingual'\n.*'pairs'"),
        (
            {"runs": [runs(mixture="pairs", count=3)]},
            r"count means nothing to mixture 'pairs'\n.*'even' and 'dirichlet'",
        ),
        ({"runs": [runs(languages=["est", "por"])]}, r"runs block 1: unknown language 'por_Latn'"),
        ({"runs": [runs(name="a"), runs(name="a")]}, "two blocks are called 'a'"),
        ({"runs": [runs(seed=[1])]}, r"unknown key 'seed'\n.*'seeds'"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:30],
)
def test_bad_studies_are_refused_by_key(change: dict[str, Any], message: str) -> None:
    raw = {"languages": {code: {"text": "a.txt"} for code in CODES}, "runs": [runs()], **change}
    with pytest.raises(InputError, match=message):
        check_study(raw, "study.toml")


@pytest.mark.parametrize(
    ("changed", "training", "message"),
    [
        ({"mixture": "shares"}, {}, r'block 1, shares: mixture "shares" needs them'),
        ({"mixture": "even", "K": 9}, {}, "K: 9 of 3 languages"),
        ({"mixture": "unimax", "tokens": ["1M", "2M"]}, {}, "UniMax shares depend on the budget"),
        ({"mixture": "shares", "shares": {"est": 0.7, "fin": 0.7}}, {}, "the shares sum to 1.4"),
        ({"unique": {"est": 5}}, {}, "unique.ekk_Latn: 5 tokens are less than one window"),
        ({"mixture": "pairs", "pairs": [["est", "est"]]}, {}, "gives no runs"),
        ({}, {"batch_tokens": 1000}, "1000 tokens a step are no whole number of 128-token sequences"),
        ({"sizes": [{**TINY_SHAPE, "d_head": 15}]}, {}, "d_head 15 is odd"),
    ],
)
def test_bad_blocks_are_refused(changed: dict[str, Any], training: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message) if "(" in message else message):
        grid(runs(**changed), training=training)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no study.toml"), (b"title = ", "not TOML"), (b"title = '\xe9'", "not UTF-8 at byte 9")],
)
def test_bad_files_are_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "study.toml").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_study(tmp_path)


def test_labels() -> None:
    assert mixture_label({"ekk_Latn": 1.0}) == "ekk"
    assert mixture_label({"ekk_Latn": 0.5, "fin_Latn": 0.5}) == "ekk+fin"
    assert mixture_label({"ekk_Latn": 0.25, "fin_Latn": 0.75}) == "fin:0.75+ekk:0.25"
    assert mixture_label({"srp_Latn": 0.5, "srp_Cyrl": 0.5}) == "srp_Latn+srp_Cyrl"
    assert mixture_label({"eng_Latn": 0.5, "eng_Latn_clone": 0.5}) == "eng+eng_Latn_clone"


# --- the verbs ------------------------------------------------------------------------------------------


def cli(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert isogloss(["study", *words]) == code, capsys.readouterr().err
    out = capsys.readouterr()
    return out.err if code else out.out


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A finished study of two sizes and two ends each."""
    small = {**TINY_SHAPE, "d_model": 16, "d_head": 8}
    folder = tiny_study(
        tmp_path_factory.mktemp("trained"),
        runs=[
            block(sizes=[small, TINY_SHAPE], tokens=[20 * BATCH, 40 * BATCH]),
            block(name="all", mixture="even", tokens=[20 * BATCH]),
            block(languages=["ekk"], init="all", unique=10 * CONTEXT, seeds=[1]),
        ],
    )
    assert isogloss(["study", "run", str(folder), "--executor", "inline", "--json"]) == 0
    return folder


def test_new_finds_the_texts_and_what_it_writes_is_a_study(tmp_path, capsys) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for name in ("et.txt", "fin_Latn.jsonl.gz"):
        (texts / name).write_bytes(b"x")
    (texts / "English").mkdir()
    folder = tmp_path / "mine"
    cli(capsys, "new", str(folder), "--languages", "est_Latn,fi,English", "--text", str(texts))
    made = read_study(folder)
    assert {code: text.text[0] for code, text in made.languages.items()} == {
        "ekk_Latn": "../texts/et.txt",
        "fin_Latn": "../texts/fin_Latn.jsonl.gz",
        "eng_Latn": "../texts/English/*",
    }
    assert [b.mixture for b in made.runs] == ["monolingual", "pairs", "even"]
    assert "already" in cli(capsys, "new", str(folder), "--languages", "est", code=2)


def test_new_says_what_it_does_not_find(tmp_path, capsys) -> None:
    assert "put its path" in cli(capsys, "new", str(tmp_path / "a"), "--languages", "est")
    assert "Estonian" in cli(capsys, "new", str(tmp_path / "b"), "--languages", "Estonain", code=2)
    assert "no such folder" in cli(capsys, "new", str(tmp_path / "c"), "--languages", "est", "--text", "none", code=2)
    assert not (tmp_path / "c").exists()


def test_a_dry_run_trains_nothing_and_adds_up(tmp_path, capsys) -> None:
    folder = tiny_study(tmp_path, machine__price_per_hour=2.0)
    shown = json.loads(cli(capsys, "dry-run", str(folder), "--json"))
    assert not (folder / "runs").exists()
    assert len(shown["runs"]) == 3
    shape = Architecture(**TINY_SHAPE, vocab_size=256, tied=False)
    for r in shown["runs"]:
        assert r["params_total"] == shape.params_total
        assert r["flops"] == pytest.approx(shape.flops_per_token(CONTEXT) * 20 * BATCH)
        assert r["seconds"] > 0
    assert shown["flops"] == pytest.approx(sum(r["flops"] for r in shown["runs"]))
    assert shown["cost"] == pytest.approx(2.0 * shown["seconds"] / 3600)
    text = cli(capsys, "dry-run", str(folder))
    assert "3 runs, 3 to train" in text
    assert "2 workers on cpu" in text


def test_a_model_that_does_not_fit_is_said(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("isogloss.sweeps.rehearse.tokens_per_second", lambda *_, **__: 0.0)
    assert "does not fit into the memory of cpu" in cli(capsys, "dry-run", str(tiny_study(tmp_path)), code=2)


def test_the_tables_say_what_happened(trained: Path) -> None:
    runs, exposure, evals = (pl.read_parquet(trained / name) for name in (RUNS, EXPOSURE, EVALS))
    assert runs["status"].unique().to_list() == ["finished"]
    assert runs.height == 8
    assert runs["init"].null_count() == 7
    # D of a row is the run's tokens at that point, never those of the text that was scored.
    assert set(evals["tokens"].unique()) <= {k * BATCH for k in range(1, 41)}
    final = evals.filter((pl.col("lr_phase") == "final") & (pl.col("unit") == "bits/byte"))
    assert final.height == 3 * (6 * 2 + 2)
    assert set(final["tokens"]) == {20 * BATCH, 40 * BATCH}
    assert (final["stderr"] > 0).all()
    mono = exposure.filter(pl.col("share") == 1.0)
    assert (mono["realised_share"] == 1.0).all()
    assert (mono["epochs"] == mono["tokens"] / mono["unique_tokens"]).all()
    even = exposure.filter(pl.col("share") < 0.9)
    assert np.abs(even["realised_share"] - even["share"]).max() < 0.05
    repeated = exposure.filter(pl.col("unique_tokens") == 10 * CONTEXT)
    assert repeated["epochs"].to_list() == [8.0]
    manifest = json.loads((trained / MANIFEST).read_text())
    assert manifest["runs"] == {"finished": 8}
    assert manifest["others"] == []


def test_a_start_is_seen_in_the_losses(trained: Path) -> None:
    jobs = read_jobs(trained)
    tuned = next(job for job in jobs if job.init)
    first, scratch = (
        pl.read_parquet(trained / EVALS).filter(
            (pl.col("run_id") == run_id) & (pl.col("language") == "ekk_Latn") & (pl.col("unit") == "bits/byte")
        )
        for run_id in (tuned.run_id, jobs[3].run_id)
    )
    early = (pl.col("lr_phase") != "final") & (pl.col("tokens") == pl.col("tokens").min())
    assert first.filter(early)["loss"].item() < scratch.filter(early)["loss"].item()


def test_read_runs_takes_finished_models_only(trained: Path) -> None:
    table = read_runs(trained)
    assert table.unit == "bits/byte"
    assert len(table) == 3 * (6 * 2 + 2)
    assert {left.reason for left in table.left_out} == {
        "lr_phase warmup: not a finished model",
        "lr_phase stable: not a finished model",
    } or {left.reason for left in table.left_out} == {"lr_phase stable: not a finished model"}
    assert set(table.targets) == {"ekk_Latn", "fin_Latn", "swh_Latn"}
    assert set(table.languages) == {"ekk_Latn", "fin_Latn", "swh_Latn"}
    _, shares = table.shares()
    assert np.allclose(shares.sum(1), 1)
    stable = read_runs(trained, where="lr_phase=stable")
    assert set(stable.frame["lr_phase"]) == {"stable"}
    nats = read_runs(trained, unit="nats/token")
    assert nats.unit == "nats/token"
    # Under bytes a token is a byte, but for the separators, which bits per byte leave out as well.
    ratio = nats.frame["loss"] / table.frame["loss"]
    assert ratio.to_list() == pytest.approx([np.log(2)] * len(table), rel=1e-9)
    assert table.compute()[1] == "flops_per_token x D"


def test_fit_reads_the_folder(trained: Path, capsys) -> None:
    words = ["fit", str(trained), "--law", "chinchilla", "--target", "est", "--draws", "0", "--json"]
    assert isogloss(words) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["unit"] == "bits/byte"
    assert answer["law"] == "chinchilla"


def test_a_study_goes_on_from_a_hugging_face_folder(trained: Path, tmp_path, capsys) -> None:
    """pretrain, export, fine-tune elsewhere; a tokenizer that gives other ids is refused."""
    first = next(job for job in read_jobs(trained) if len(job.spec.shares) == 3)
    cli(capsys, "export", str(trained), first.run_id, "-o", str(tmp_path / "base"))
    folder = tiny_study(tmp_path / "tuned", runs=[block(languages=["ekk"], init="../base")])
    cli(capsys, "run", str(folder), "--executor", "inline")
    job = read_jobs(folder)[0]
    assert job.spec.init is not None
    assert job.spec.init.startswith("hf:")
    scratch = tiny_study(tmp_path / "scratch", runs=[block(languages=["ekk"])])
    cli(capsys, "run", str(scratch), "--executor", "inline")
    tuned, fresh = (read_runs(f, where="target=ekk_Latn").frame["loss"].item() for f in (folder, scratch))
    assert tuned < fresh
    other = json.loads((tmp_path / "base" / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = other["model"]["vocab"]
    one, two = list(vocabulary)[65:67]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (tmp_path / "base" / "tokenizer.json").write_text(json.dumps(other), encoding="utf-8")
    said = cli(capsys, "run", str(folder), "--executor", "inline", "--allow-orphans", code=2)
    assert "its tokenizer is not the study's" in said


def test_a_clone_is_the_same_text_under_other_ids(tmp_path, capsys) -> None:
    folder = tiny_study(
        tmp_path,
        languages={"ekk": {"text": "texts/ekk.txt"}, "ekk_Latn_clone": {"clone_of": "ekk"}},
        runs=[block(mixture="even"), block(languages=["ekk"])],
    )
    cli(capsys, "run", str(folder), "--executor", "inline")
    both, alone = read_jobs(folder)
    assert both.architecture.vocab_size == 512
    table = read_runs(folder).frame
    loss = {(r["run_id"], r["target"]): r["loss"] for r in table.to_dicts()}
    own, clone = loss[both.run_id, "ekk_Latn"], loss[both.run_id, "ekk_Latn_clone"]
    # Half the tokens each, the same text: alike to the noise of so short a run. A model that never saw the
    # clone's ids is worse on them than chance over all ids.
    assert own == pytest.approx(clone, rel=0.1)
    assert loss[alone.run_id, "ekk_Latn_clone"] > 9 > clone


def test_runs_of_one_shape_train_as_a_stack(tmp_path, capsys) -> None:
    stacked = tiny_study(tmp_path / "stacked", machine__stack=3, machine__precision="float32")
    single = tiny_study(tmp_path / "single", machine__stack=1, machine__precision="float32")
    for folder in (stacked, single):
        cli(capsys, "run", str(folder), "--executor", "inline")
    assert pl.read_parquet(stacked / RUNS)["stack"].to_list() == [3, 3, 3]
    one, other = (pl.read_parquet(f / EVALS) for f in (stacked, single))
    assert one.drop("loss", "stderr").equals(other.drop("loss", "stderr"))
    assert np.abs(one["loss"] - other["loss"]).max() < 1e-4


def test_a_run_may_be_measured_on_its_own_languages_alone(tmp_path, capsys) -> None:
    """Also in a stack of runs of different languages, with the losses that it has when measured on all."""
    whole = tiny_study(tmp_path / "all", machine__stack=3)
    own = tiny_study(tmp_path / "own", machine__stack=3, evaluation__languages="own")
    for folder in (whole, own):
        cli(capsys, "run", str(folder), "--executor", "inline")
    evals, few = (pl.read_parquet(f / EVALS) for f in (whole, own))
    seen = pl.read_parquet(own / EXPOSURE).select("run_id", "language")
    assert len(evals) == 3 * len(few)
    assert few.equals(evals.join(seen, on=["run_id", "language"], maintain_order="left"))


@pytest.mark.slow
def test_a_stack_leaves_runs_to_other_workers(tmp_path, capsys) -> None:
    folder = tiny_study(tmp_path, runs=[block(seeds=[0, 1])], machine__stack=8, machine__workers=2)
    cli(capsys, "run", str(folder), "--executor", "local")
    assert pl.read_parquet(folder / RUNS)["stack"].max() == 3


def test_status_and_collect(trained: Path, capsys) -> None:
    assert "8 runs: 8 finished; 100% of the tokens" in cli(capsys, "status", str(trained))
    shown = json.loads(cli(capsys, "status", str(trained), "--json"))
    assert shown["counts"] == {"finished": 8}
    assert all(r["bits_per_byte"] > 0 for r in shown["runs"])
    (trained / MANIFEST).unlink()
    assert "8 finished" in cli(capsys, "collect", str(trained))
    assert (trained / MANIFEST).exists()


def test_status_shows_the_last_measurement(trained: Path) -> None:
    jobs = read_jobs(trained)
    shown = survey(trained, jobs).runs[0]
    table = read_runs(trained).frame.filter(
        (pl.col("run_id") == jobs[0].run_id) & (pl.col("target") == "ekk_Latn") & (pl.col("tokens") == 40 * BATCH)
    )
    assert shown.bits_per_byte == pytest.approx(table["loss"].item())


def test_export_is_what_transformers_loads(trained: Path, tmp_path, capsys) -> None:
    run_id = read_jobs(trained)[0].run_id
    cli(capsys, "export", str(trained), run_id[:8], "-o", str(tmp_path / "hf"))
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert tokenizer.decode(tokenizer("Õhtul 森")["input_ids"]) == "Õhtul 森"
    assert model.config.vocab_size == 256
    mine = tmp_path / "a model of the user"
    mine.mkdir()
    (mine / "config.json").write_text("{}")
    assert "holds other files" in cli(capsys, "export", str(trained), run_id, "-o", str(mine), code=2)
    assert "no finished model at 5" in cli(
        capsys, "export", str(trained), run_id, "-o", str(tmp_path / "no"), "--tokens", "5", code=2
    )
    assert "unknown run" in cli(capsys, "export", str(trained), "zz", "-o", str(tmp_path / "no"), code=2)


def test_finished_runs_that_no_longer_belong_stop_the_study(tmp_path, capsys) -> None:
    folder = tiny_study(tmp_path)
    cli(capsys, "run", str(folder), "--executor", "inline")
    before = {job.run_id for job in read_jobs(folder)}
    tiny_study(folder, training__decay=0.4)
    said = cli(capsys, "run", str(folder), "--executor", "inline", code=2)
    assert "3 finished runs no longer belong to it: schedule changed" in said
    assert "--allow-orphans" in said
    assert {p.name for p in (folder / "runs").iterdir()} == before
    cli(capsys, "run", str(folder), "--executor", "inline", "--allow-orphans")
    manifest = json.loads((folder / MANIFEST).read_text())
    assert set(manifest["others"]) == before
    assert manifest["runs"] == {"finished": 3}


def test_resume_wants_a_study_that_was_begun(tmp_path, capsys) -> None:
    assert "no runs are planned" in cli(capsys, "resume", str(tiny_study(tmp_path)), code=2)
    assert "no runs are planned" in cli(capsys, "status", str(tmp_path), code=2)


def test_a_study_without_a_table_says_so(tmp_path) -> None:
    with pytest.raises(InputError, match="has no run table yet"):
        read_runs(tiny_study(tmp_path))
    with pytest.raises(InputError, match="is a folder, and no study's"):
        read_runs(tmp_path / "texts")


def test_a_diverged_run_is_kept_and_reported(tmp_path, capsys) -> None:
    folder = tiny_study(tmp_path, runs=[block(languages=["ekk"]), block(languages=["fin"], learning_rate=1e30)])
    out = cli(capsys, "run", str(folder), "--executor", "inline")
    assert "1 diverged" in out
    states = [state_of(folder, job) for job in read_jobs(folder)]
    assert states == ["finished", "diverged"]
    assert set(read_runs(folder).frame["run_id"]) == {read_jobs(folder)[0].run_id}
    assert run_folder(folder, read_jobs(folder)[1].run_id).is_dir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"languages": {"ekk": {"text": "texts/none.txt"}}}, "none.txt"),
        ({"languages": {"ekk": {"text": "texts/empty.txt"}}}, "empty"),
        ({"languages": {"ekk": {"text": "texts/latin1.txt"}}}, "UTF-8"),
        ({"languages": {"ekk": {"text": "texts/short.txt"}}}, "ekk_Latn"),
        ({"languages": {"ekk": {"text": "PUT A PATH HERE"}}}, "languages.ekk_Latn.text: still says"),
        ({"machine__device": "cuda"}, "torch finds none"),
        ({"runs": [block(init="texts")]}, "no Hugging Face folder"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_bad_input_is_named_before_anything_is_trained(change, message, tmp_path, capsys) -> None:
    folder = tiny_study(tmp_path, **change)
    (folder / "texts" / "empty.txt").write_text("", encoding="utf-8")
    (folder / "texts" / "latin1.txt").write_bytes("õhtu ".encode("latin-1") * 5000)
    (folder / "texts" / "short.txt").write_text("Tere.\n", encoding="utf-8")
    assert message in cli(capsys, "run", str(folder), "--executor", "inline", code=2)
    assert not (folder / "runs").exists()


def test_block_defaults_are_a_run() -> None:
    assert Runs(mixture="monolingual", sizes=("0.1M",), tokens=(1000,)).seeds == (0,)
