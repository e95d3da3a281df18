"""Transfer measured from run tables: simulated pairs of known weight, traps, studies, and real runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from isogloss.errors import InputError
from isogloss.laws import Atlas
from isogloss.runs import read_runs
from isogloss.runs.study_table import EVALS, EXPOSURE, MANIFEST, RUNS
from isogloss.transfer import score_from_weight
from isogloss.transfer.measured import MeasuredTransfer, measure

DATA = Path(os.environ.get("ISOGLOSS_DATA", Path(__file__).parents[2] / "shared" / "data")) / "xscript_bilingual.csv"
DE, EN, FR = "deu_Latn", "eng_Latn", "fra_Latn"
TOKENS = np.linspace(1e9, 22e9, 24)
N = 1e9


def atlas_loss(tau: float, share: float, tokens: np.ndarray) -> np.ndarray:
    """ATLAS's law of a target of this share beside one source, without repeated text or capacity tax."""
    law = Atlas(
        E=0.5,
        A=40.0,
        alpha=0.3,
        B=6000.0,
        beta=0.45,
        lambda_=0.05,
        tau=np.array([tau]),
        tau_other=0.0,
        dose="linear",
        languages="effective",
    )
    own, other = share * tokens, (1 - share) * tokens
    nothing, plenty = np.zeros(len(tokens)), np.full(len(tokens), 1e15)
    loss = law.loss(N, own, plenty, other[:, None], plenty[:, None], nothing, plenty, np.ones(len(tokens)))
    return np.asarray(loss)


def ar1(size: int, rho: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(size)
    for i in range(1, size):
        noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * noise[i]
    return noise


def run(
    name: str,
    shares: Mapping[str, float],
    *,
    tau: float = 0.0,
    target: str = DE,
    noise: tuple[float, float] = (0.0, 0.0),
    seed: int = 0,
    tokens: np.ndarray = TOKENS,
    **columns: Any,
) -> pl.DataFrame:
    """A run's losses on the target; `noise` is the standard deviation of checkpoints and of seeds."""
    rng = np.random.default_rng([seed, *name.encode()])
    loss = atlas_loss(tau, shares[target], tokens) + noise[0] * ar1(len(tokens), 0.3, rng)
    loss = loss + noise[1] * rng.standard_normal()
    fixed = {"run_id": name, "target": target, "N": N, "lr_phase": "stable", "tokenizer": "t", "seed": seed, **columns}
    mixture = {f"share:{language}": share for language, share in shares.items()}
    return pl.DataFrame({"tokens": tokens, "bpb": loss}).with_columns(
        *(pl.lit(value).alias(key) for key, value in {**fixed, **mixture}.items())
    )


def pair(tau: float, *, share: float = 0.5, **more: Any) -> list[pl.DataFrame]:
    return [run("de", {DE: 1.0}, **more), run("de-en", {DE: share, EN: 1 - share}, tau=tau, **more)]


def measured(*runs: pl.DataFrame, **options: Any) -> MeasuredTransfer:
    frame = pl.concat(runs, how="diagonal_relaxed")
    shares = [c for c in frame.columns if c.startswith("share:")]
    return measure(frame.with_columns(pl.col(shares).fill_null(0.0)), **{"draws": 100, "anchors": 7, **options})


# --- scores of known weights ----------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [-0.3, 0.0, 0.35, 1.0])
def test_the_weight_of_a_pair_is_found_at_every_anchor(tau: float) -> None:
    """tau = 1 is a cloned language, 0 an unrelated one."""
    found = measured(*pair(tau)).pair("de", "en")
    scores = found.scores()
    np.testing.assert_allclose(scores.tau, tau, atol=0.03)
    np.testing.assert_allclose(scores.bts, 2 - found.inversion.sigma / found.anchors, atol=1e-12)
    np.testing.assert_allclose(scores.ratio, found.anchors / found.inversion.sigma)
    assert found.anchors[0] >= TOKENS[0] * 0.999
    assert found.anchors[-1] <= TOKENS[-1] * 1.001


@pytest.mark.parametrize("share", [0.1, 0.25, 0.8])
def test_uneven_pairs_tell_the_same_weight_and_say_so(share: float) -> None:
    found = measured(*pair(0.3, share=share)).pair("de", "en")
    score = found.at()
    assert score.tau == pytest.approx(0.3, abs=0.05)
    assert score.bts == pytest.approx(score_from_weight(score.tau))
    assert any("share" in note for note in found.notes)


def test_intervals_hold_the_true_score_about_as_often_as_they_say() -> None:
    """At 40 pairs, the nominal 90 % less three standard errors is 0.76. Seeds differ by as much as checkpoints."""
    inside, away = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        tau, sd = rng.uniform(-0.3, 0.8), rng.uniform(0.008, 0.019)
        found = measured(*pair(tau, noise=(sd, sd), seed=seed), seed=seed)
        if found.pairs:
            score, truth = found.at("de", "en"), score_from_weight(tau)
            inside.append(score.bts_low <= truth <= score.bts_high)
            away.append(score.bts_low > 0 or score.bts_high < 0)
    assert len(inside) >= 34
    assert np.mean(inside) >= 0.76
    # Intervals that hold everything would pass, too.
    assert np.mean(away) > 0.1


def test_seeds_narrow_the_interval_and_are_pooled() -> None:
    one = measured(*pair(0.3, noise=(0.01, 0.004)))
    many = [run(f"de{s}", {DE: 1.0}, noise=(0.01, 0.004), seed=s) for s in range(4)]
    many += [run(f"de-en{s}", {DE: 0.5, EN: 0.5}, tau=0.3, noise=(0.01, 0.004), seed=s) for s in range(4)]
    four = measured(*many)
    assert [len(p.runs[0]) for p in four.pairs] == [4]
    assert four.pairs[0].points == (96, 96)
    widths = [found.at("de", "en").bts_high - found.at("de", "en").bts_low for found in (one, four)]
    assert widths[1] < 0.6 * widths[0]
    assert any("assumed, not measured" in note for note in one.notes)
    assert any("from 6 seeds" in note for note in four.notes)


def test_flat_curves_are_flagged_in_words() -> None:
    quiet = measured(*pair(0.0)).pair("de", "en").scores().bts_per_hundredth
    found = measured(*pair(0.0, noise=(0.015, 0.015), seed=3)).pair("de", "en")
    # dBTS/dL = 1 / (d L'), and the law's slope falls as sigma^-(1 + beta): half the anchors, 2^-beta as much.
    anchors = measured(*pair(0.0)).pair("de", "en").anchors
    assert quiet[-1] / quiet[0] == pytest.approx((anchors[-1] / anchors[0]) ** 0.45, rel=0.15)
    flat = found.at(float(found.anchors[-1]))
    assert flat.flat
    assert flat.conditioning.startswith("ill-conditioned")
    assert f"{flat.bts_per_hundredth:.2g}" in flat.conditioning
    steady = measured(*pair(0.0, noise=(0.001, 0.001))).at("de", "en")
    assert not steady.flat
    assert not steady.conditioning.startswith("ill-conditioned")


def test_an_anchor_outside_is_refused_not_extrapolated() -> None:
    found = measured(*pair(0.3))
    with pytest.raises(InputError, match="outside"):
        found.at("de", "en", 21.9e9)
    with pytest.raises(InputError, match="was not measured"):
        found.at("en", "de")


# --- per byte -------------------------------------------------------------------------------------------


def test_per_byte_counts_the_text_of_both() -> None:
    """A source with tokens twice as long gives twice the text: a byte of it is worth half."""
    found = measured(*pair(0.4), bytes_per_token={"de": 3.0, "en": 6.0})
    token, byte = found.at("de", "en"), found.at("de", "en", per="byte")
    assert byte.tau == pytest.approx(token.tau / 2)
    assert byte.bts == pytest.approx(score_from_weight(token.tau / 2))
    rows = found.frame().filter(pl.col("per") == "byte")
    np.testing.assert_allclose(rows["anchor_bytes"], 3 * rows["anchor"])


def test_bytes_come_from_columns_or_are_said_to_be_unknown() -> None:
    wide = measured(*pair(0.4, **{"bytes_per_token:de": 3.0, "bytes_per_token:en": 6.0}))
    assert wide.pairs[0].bytes_per_token == (3.0, 6.0)
    unknown = measured(*pair(0.4))
    assert unknown.pairs[0].bytes_per_token is None
    assert set(unknown.frame()["per"]) == {"token"}
    with pytest.raises(InputError, match="are not known"):
        unknown.at("de", "en", per="byte")
    with pytest.raises(InputError, match="unknown column 'bytes'"):
        measured(*pair(0.4), bytes_per_token="bytes")
    with pytest.raises(InputError, match="bytes per token of deu_Latn"):
        measured(*pair(0.4), bytes_per_token={"de": 0.0, "en": 1.0})


# --- what is refused ------------------------------------------------------------------------------------


def reason(found: MeasuredTransfer, source: str = EN) -> str:
    assert not found.pairs
    return "; ".join(r.reason for r in found.refused if r.source == source)


def test_the_learning_rate_trap_is_refused() -> None:
    """Cooling lowers a loss by 0.04: beside a middle it would pass for transfer between unrelated languages."""
    alone, both = pair(0.0)
    cooled = both.with_columns(pl.col("bpb") - 0.04, lr_phase=pl.lit("final"))
    assert "learning-rate phase differs" in reason(measured(alone, cooled))
    fooled = measured(alone, cooled.with_columns(lr_phase=pl.lit("stable")))
    assert fooled.at("de", "en").bts > 0.3
    other = measured(alone.with_columns(lr_phase=pl.lit("final")), both)
    assert "learning-rate phase differs" in reason(other)


def test_ends_are_compared_with_ends_only() -> None:
    """A ladder of finished runs gives a curve of its own; warm-up and the course of decay give none."""
    alone, both = pair(0.3)
    ends = [f.with_columns(pl.col("bpb") - 0.04, lr_phase=pl.lit("final")) for f in (alone, both)]
    found = measured(alone, both, *ends)
    assert {dict(p.cell)["lr_phase"] for p in found.pairs} == {"stable", "decayed end"}
    for cell in ({"lr_phase": "stable"}, {"lr_phase": "decayed end"}):
        assert found.at("de", "en", cell=cell).tau == pytest.approx(0.3, abs=0.03)
    with pytest.raises(InputError, match=r"2 cells, which differ in lr_phase"):
        found.at("de", "en")
    phase = pl.when(pl.col("tokens") > 18e9).then(pl.lit("decay")).otherwise(pl.lit("warmup"))
    assert "1 decayed end" in reason(measured(alone.with_columns(lr_phase=phase), both.with_columns(lr_phase=phase)))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tokenizer": "other"}, "tokenizer differs: t for the target alone, other for the pair"),
        ({"N": 2e9}, "params_total differs: 1000000000 for the target alone, 2000000000 for the pair"),
        ({"schedule": "cosine"}, "schedule differs: not stated for the target alone, cosine for the pair"),
        ({"learning_rate": 1e-3}, "learning_rate differs"),
        ({"eval_set": "flores"}, "eval_set differs"),
    ],
)
def test_other_configurations_are_refused_by_name(columns: dict[str, Any], message: str) -> None:
    alone, both = pair(0.3)
    changed = both.with_columns(**{name: pl.lit(value) for name, value in columns.items()})
    assert message in reason(measured(alone, changed))


def test_columns_may_be_ignored_on_request() -> None:
    alone, both = pair(0.3)
    assert measured(alone, both.with_columns(schedule=pl.lit("wsd")), ignore=["schedule"]).pairs
    with pytest.raises(InputError, match="unknown column 'sched'"):
        measured(alone, both, ignore=["sched"])


def test_a_configuration_that_isogloss_does_not_know_still_counts() -> None:
    """Depth varies within a mixture and is shared between mixtures: it is no record of a run."""
    runs = [f.with_columns(depth=pl.lit(d), run_id=pl.col("run_id") + d) for d in ("8", "16") for f in pair(0.3)]
    found = measured(*runs)
    assert sorted(dict(p.cell)["depth"] for p in found.pairs) == ["16", "8"]
    assert all(len(p.runs[0]) == 1 for p in found.pairs)


def test_every_other_reason() -> None:
    alone, both = pair(0.3)
    three = run("three", {DE: 0.4, EN: 0.3, FR: 0.3})
    assert "3 languages, not a pair" in reason(measured(alone, three), f"{EN}+{FR}")
    assert "no run of the target alone" in reason(measured(both))
    assert "a share of 0.97" in reason(measured(*pair(0.3, share=0.97)))
    assert "4 points of the pair, fewer than 5" in reason(measured(alone, both.head(4)))
    assert "no common range" in reason(measured(alone, both.with_columns(pl.col("bpb") + 1.0)))
    changing = pl.concat(
        [both.head(12), both.tail(12).with_columns(pl.lit(0.6).alias(f"share:{DE}"), pl.lit(0.4).alias(f"share:{EN}"))]
    )
    assert "its shares change" in reason(measured(alone, changing))
    flagged = both.with_columns(use=pl.lit(0))
    assert "the table says use=0" in reason(measured(alone.with_columns(use=pl.lit(1)), flagged))


def test_a_collapse_is_told_from_the_curve() -> None:
    alone, both = pair(0.3, noise=(0.01, 0.0))
    risen = alone.with_columns(
        pl.when(pl.col("tokens") > 8e9).then(pl.col("bpb") + 0.3).otherwise(pl.col("bpb")).alias("bpb")
    )
    found = measured(risen, both)
    assert set(found.problems) == {"de"}
    assert "de, the target alone: collapsed: its loss on deu_Latn rises from" in reason(found)
    spike = alone.with_columns(
        pl.when(pl.int_range(pl.len()) == 12).then(pl.col("bpb") + 0.3).otherwise(pl.col("bpb")).alias("bpb")
    )
    assert not measured(spike, both).problems
    stuck = run("stuck", {DE: 0.5, EN: 0.5}).with_columns(pl.col("bpb") * 0 + 3.0)
    assert "never learned" in measured(alone, both, stuck).problems["stuck"]


def test_repeated_text_is_noted_and_measured() -> None:
    found = measured(*pair(0.3, **{f"unique:{DE}": 5e9, f"unique:{EN}": 1e12}))
    notes = " ".join(found.pairs[0].notes)
    assert "the target alone repeats text from 5e+09 tokens on" in notes
    assert "the pair repeats text from 1e+10 tokens on" in notes


def test_tables_that_tell_nothing_of_pairs_are_errors() -> None:
    frame = run("de", {DE: 1.0})
    with pytest.raises(InputError, match="no column run_id"):
        measure(frame.drop("run_id"))
    with pytest.raises(InputError, match="no shares"):
        measure(frame.drop(f"share:{DE}"))
    with pytest.raises(InputError, match="at least 3 anchors"):
        measure(frame, anchors=1)


def test_a_table_without_phases_is_measured_on_trust() -> None:
    found = measured(*(f.drop("lr_phase") for f in pair(0.3)))
    assert any("no column lr_phase" in note for note in found.notes)
    assert any("on trust" in note for note in found.pairs[0].notes)


# --- the whole ------------------------------------------------------------------------------------------


def three_pairs() -> MeasuredTransfer:
    runs = [run(f"{t}", {t: 1.0}, target=t, noise=(0.008, 0.0), seed=1) for t in (DE, EN)]
    both = {t: run("de-en", {DE: 0.5, EN: 0.5}, target=t, tau=0.3, noise=(0.008, 0.0), seed=1) for t in (DE, EN)}
    french = run("de-fr", {DE: 0.5, FR: 0.5}, tau=0.1, noise=(0.008, 0.0), seed=1)
    return measured(*runs, *both.values(), french, bytes_per_token={"de": 4.0, "en": 4.0})


def test_the_matrix_has_scores_and_their_errors() -> None:
    found = three_pairs()
    matrix = found.matrix()
    assert matrix.languages == (DE, EN, FR)
    assert matrix.sd is not None
    score = found.at("de", "en")
    assert matrix.bts[0, 1] == score.bts
    assert matrix.sd[0, 1] == score.bts_sd
    assert matrix.kind[0, 1] == "measured"
    assert matrix.kind[2, 0] == ""
    assert np.isfinite(matrix.bts).sum() == 3
    assert np.isfinite(found.matrix(3e9).bts).sum() == 3
    with pytest.raises(InputError, match="no measured pair has a score here"):
        found.matrix(1e12)
    with pytest.raises(InputError, match="unknown cell column 'eval'"):
        found.matrix(cell={"eval": "x"})


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    found = three_pairs()
    folder = found.save(tmp_path / "transfer")
    back = MeasuredTransfer.load(folder)
    assert back.frame().equals(found.frame())
    assert (back.refused, back.notes, dict(back.problems)) == (found.refused, found.notes, dict(found.problems))
    assert vars(back.at("de", "en", per="byte")) == vars(found.at("de", "en", per="byte"))
    assert back.pair("de", "fr").bytes_per_token is None
    said = json.loads((folder / "transfer.json").read_text())
    (folder / "transfer.json").write_text(json.dumps({**said, "schema": 99}))
    with pytest.raises(InputError, match="schema 99"):
        MeasuredTransfer.load(folder)
    (folder / "transfer.json").write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        MeasuredTransfer.load(folder)
    (folder / "curves.parquet").unlink()
    with pytest.raises(InputError, match="is not there"):
        MeasuredTransfer.load(folder)


def test_nothing_measured_is_saved_too(tmp_path: Path) -> None:
    found = measured(run("de", {DE: 1.0}))
    assert not found.pairs
    assert MeasuredTransfer.load(found.save(tmp_path / "none")).frame().is_empty()


# --- studies --------------------------------------------------------------------------------------------


def study(folder: Path, tau: float) -> Path:
    """The tables that a finished study has: a stable trunk, and a decayed end at some of its points."""
    folder.mkdir()
    mixtures = {"a": {DE: 1.0}, "b": {DE: 0.5, EN: 0.5}}
    runs, exposure, evals = [], [], []
    for name, shares in mixtures.items():
        fixed = {"params_total": int(N), "vocab_size": 256, "tokenizer": "h", "corpus": name, "seconds": len(name) / 7}
        runs.append({"run_id": name, **fixed, "seed": 0, "schedule": "wsd", "init": None, "status": "finished"})
        exposure += [{"run_id": name, "language": k, "share": v, "unique_tokens": 1e12} for k, v in shares.items()]
        losses = atlas_loss(tau if name == "b" else 0.0, shares[DE], TOKENS)
        for i, (tokens, loss) in enumerate(zip(TOKENS, losses, strict=True)):
            phases = {"stable": 0.0} | ({"final": -0.04} if i % 4 == 3 else {}) | ({"warmup": 0.0} if i == 0 else {})
            for phase, shift in phases.items():
                row = {"run_id": name, "tokens": int(tokens), "lr_phase": phase}
                for language, size in ((DE, 3.0), (EN, 4.5)) if name == "b" else ((DE, 3.0),):
                    bits = loss + shift
                    evals.append({**row, "language": language, "loss": bits, "unit": "bits/byte"})
                    nats = bits * np.log(2) * size
                    evals.append({**row, "language": language, "loss": nats, "unit": "nats/token"})
    for name, rows in ((RUNS, runs), (EXPOSURE, exposure), (EVALS, evals)):
        pl.DataFrame(rows).write_parquet(folder / name)
    (folder / MANIFEST).write_text(json.dumps({"schema_version": 1}))
    return folder


def test_a_study_is_measured_in_both_phases_and_per_byte(tmp_path: Path) -> None:
    folder = study(tmp_path / "study", 0.3)
    found = measure(folder, draws=100, anchors=7)
    assert {dict(p.cell)["lr_phase"] for p in found.pairs} == {"stable", "decayed end"}
    for p in found.pairs:
        assert p.at().tau == pytest.approx(0.3, abs=0.04)
        assert p.bytes_per_token == pytest.approx((3.0, 4.5))
    assert [p.points for p in found.pairs if dict(p.cell)["lr_phase"] == "stable"] == [(24, 24)]
    reasons = {r.reason for r in found.refused}
    assert reasons == {"no run of the target alone"}  # of English
    finals = measure(read_runs(folder), draws=100, anchors=7)
    assert [dict(p.cell)["lr_phase"] for p in finals.pairs] == ["decayed end"]


# --- real runs ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def xscript() -> MeasuredTransfer:
    if not DATA.is_file():
        pytest.skip("the public run tables are not here: set ISOGLOSS_DATA to their folder")
    return measure(DATA, bytes_per_token="flores_bytes_per_token", draws=200, anchors=5)


@pytest.mark.parametrize(("target", "score"), [("de", 0.32), ("fr", 0.69), ("ar", -0.66), ("zh", -0.46)])
def test_published_scores_of_real_pairs_are_inside(xscript: MeasuredTransfer, target: str, score: float) -> None:
    found = xscript.at(target, "en", cell={"tokenizer": "destarved", "eval_set": "holdout"})
    assert found.bts_low <= score <= found.bts_high
    # They leave something out, and say how far a hundredth of a bit moves them.
    assert found.bts_high - found.bts_low < 1.6
    assert 0.2 < found.bts_per_hundredth < 1.2
    assert "0.01 of loss moves the score by" in found.conditioning


def test_real_cooled_ends_and_the_collapsed_run_are_refused(xscript: MeasuredTransfer) -> None:
    assert set(xscript.problems) == {"de__unigram_starved"}
    assert xscript.problems["de__unigram_starved"].startswith("collapsed: its loss")
    assert {dict(p.cell)["lr_phase"] for p in xscript.pairs} == {"stable"}
    zh = [r for r in xscript.refused if (r.target, r.source) == ("cmn_Hani", EN)]
    assert len(zh) == 4
    assert all("learning-rate phase differs (stable for the target alone, decayed end" in r.reason for r in zh)
    ends = [r for r in xscript.refused if dict(r.cell)["lr_phase"] == "decayed end" and r not in zh]
    assert all("ends are not compared" in r.reason or "collapsed" in r.reason for r in ends)
    starved = {(r.target, dict(r.cell)["tokenizer"]) for r in xscript.refused if "collapsed" in r.reason}
    assert starved == {(DE, "starved")}


def test_the_collapse_needs_no_flag() -> None:
    if not DATA.is_file():
        pytest.skip("the public run tables are not here: set ISOGLOSS_DATA to their folder")
    found = measure(pl.read_csv(DATA).drop("use", "notes"), draws=50, anchors=3)
    assert set(found.problems) == {"de__unigram_starved"}
    assert len(found.pairs) == 30


def test_real_evaluation_sets_and_tokenizers_are_cells_of_their_own(xscript: MeasuredTransfer) -> None:
    with pytest.raises(InputError, match=r"4 cells, which differ in tokenizer.*eval_set"):
        xscript.matrix()
    matrix = xscript.matrix(per="byte", cell={"tokenizer": "destarved", "eval_set": "holdout"})
    assert (matrix.kind == "measured").sum() == 8


def test_a_run_is_not_judged_on_languages_that_it_never_saw() -> None:
    """A study measures every run on every language: the loss of a German run on English is high, and may rise."""
    own = [*pair(0.3), run("en", {EN: 1.0}, target=EN), run("de-en", {DE: 0.5, EN: 0.5}, target=EN, tau=0.2)]
    unseen = run("de", {DE: 1.0}).with_columns(pl.lit(EN).alias("target"), bpb=9.0 + pl.col("tokens") / 1e10)
    found = measured(*own, unseen)
    assert found.problems == {}
    assert {(p.target, p.source) for p in found.pairs} == {(DE, EN), (EN, DE)}
