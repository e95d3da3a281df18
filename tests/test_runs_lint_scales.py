"""Faults that no cell shows by itself: columns swapped, other units, tokens of one language, within whole tables."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest

from isogloss.runs.lint import Finding, lint_runs

SHARES = {"swh_Latn": 0.2, "fin_Latn": 0.5, "ekk_Latn": 0.3}


def table() -> pl.DataFrame:
    """Sixteen runs, half of them of equal shares, evaluated on three languages."""
    rng = np.random.default_rng(0)
    rows = []
    for i, N in enumerate((7e7, 1.6e8, 4.1e8, 1e9)):
        for j, D in enumerate((2e9, 6e9, 2e10, 6e10)):
            shares = SHARES if (i + j) % 2 else dict.fromkeys(SHARES, 1 / 3)
            for k, (name, share) in enumerate(shares.items()):
                loss = (1.7 + 0.1 * k + 400 / N**0.34 + 900 / (share * D) ** 0.3) * math.exp(rng.normal(0, 0.004))
                run = {"run_id": f"run{i}{j}", "N": N, "D": D, "target": name, "loss": loss, "own": share}
                rows.append({**run, **{f"share:{n}": s for n, s in shares.items()}})
    return pl.DataFrame(rows)


def found(frame: pl.DataFrame, **options) -> dict[str, Finding]:
    return {f.code: f for f in lint_runs(frame, **options).findings}


def of(frame: pl.DataFrame, *runs: str) -> tuple[int, ...]:
    return tuple((frame["run_id"].is_in(runs).arg_true() + 1).to_list())


def test_nothing_to_say_of_the_table_itself():
    assert found(table()) == {}


@pytest.mark.parametrize(
    ("N", "D"),
    [
        (pl.col("N") / 1e6, pl.col("D")),
        (pl.col("N") / 1e9, pl.col("D")),
        (pl.col("N"), pl.col("D") / 1e9),
        # Steps, and seconds on hardware of 200 TFLOP/s.
        (pl.col("N"), pl.col("D") / 1e6),
        (pl.col("N"), 6 * pl.col("N") * pl.col("D") / 2e14),
    ],
)
def test_whole_columns_in_other_units(N, D):
    frame = table().with_columns(N=N, D=D)
    assert found(frame)["tokens-per-parameter"].count == frame.height


def test_swapped_columns():
    frame = table()
    swapped = pl.col("run_id") == "run03"
    N, D = pl.when(swapped).then("D").otherwise("N"), pl.when(swapped).then("N").otherwise("D")
    findings = found(frame.with_columns(N=N, D=D))
    assert findings["tokens-per-parameter"].rows == of(frame, "run03")
    assert "down to 0.0012" in findings["tokens-per-parameter"].message


def test_first_points_of_a_curve_may_have_few_tokens():
    frame = table()
    early = frame.filter(pl.col("run_id") == "run33").with_columns(D=pl.lit(1e6), loss=pl.lit(9.0))
    assert "tokens-per-parameter" not in found(pl.concat([frame, early]))


@pytest.mark.parametrize("runs", [("run10",), ("run12", "run23"), ("run20", "run21", "run22", "run23")])
@pytest.mark.parametrize("factor", [1 / math.log(2), math.log(2)])
def test_bits_among_nats(runs, factor):
    frame = table()
    other = pl.col("run_id").is_in(runs)
    frame = frame.with_columns(loss=pl.col("loss") * pl.when(other).then(factor).otherwise(1.0))
    assert found(frame)["bits-among-nats"].rows == of(frame, *runs)


@pytest.mark.parametrize("factor", [1.15, 1.25, 1.9])
def test_losses_that_are_off_by_another_factor_are_not_in_bits(factor):
    frame = table()
    other = pl.col("run_id").is_in(["run12", "run23"])
    frame = frame.with_columns(loss=pl.col("loss") * pl.when(other).then(factor).otherwise(1.0))
    assert "bits-among-nats" not in found(frame)


def test_one_language_that_is_off_is_not_in_bits():
    frame = table()
    other = (pl.col("run_id") == "run12") & (pl.col("target") == "swh_Latn")
    frame = frame.with_columns(loss=pl.col("loss") * pl.when(other).then(1 / math.log(2)).otherwise(1.0))
    assert "bits-among-nats" not in found(frame)


def test_losses_as_low_as_per_byte():
    frame = table().with_columns(pl.col("loss") * 0.33)
    assert "below 1.1" in found(frame)["unit-unsaid"].message
    assert "unit-unsaid" not in found(frame, unit="nats/token")
    assert "unit-unsaid" not in found(frame.rename({"loss": "val_bpb"}))
    assert "unit-unsaid" not in found(frame.with_columns(unit=pl.lit("bits/byte")))


def test_perplexities():
    frame = table().with_columns(pl.col("loss").exp())
    finding = found(frame)["loss-above-uniform"]
    assert finding.count == (frame["loss"] > 12.4).sum() > frame.height / 2
    assert "perplexity" in finding.cure
    assert "loss-above-uniform" not in found(frame, unit="metric")


def test_tokens_of_each_language_by_itself():
    frame = table()
    findings = found(frame.with_columns(D=pl.col("D") * pl.col("own")))
    uneven = [run for run in frame["run_id"].unique() if (int(run[3]) + int(run[4])) % 2]
    assert findings["tokens-of-target"].rows == of(frame, *uneven)


def test_a_language_under_two_codes():
    frame = table()
    first = pl.col("run_id").str.starts_with("run1")
    other = pl.when(first).then("share:swh_Latn")
    codes = frame.with_columns(other.alias("share:sw"), pl.when(~first).then("share:swh_Latn").alias("share:swh_Latn"))
    # Told once, and not again as shares that do not add up.
    assert found(codes).keys() - {"language-names"} == {"language-twice"}
    mixture = json.dumps({"sw": 0.1, "swh": 0.1, "fin": 0.5, "ekk": 0.3})
    frame = frame.drop(f"share:{name}" for name in SHARES)
    good = pl.lit(json.dumps({"swh": 0.2, "fin": 0.5, "ekk": 0.3}))
    findings = found(frame.with_columns(mixture=pl.when(first).then(pl.lit(mixture)).otherwise(good)))
    assert findings.keys() - {"language-names"} == {"mixture-unreadable"}
    assert "once" in findings["mixture-unreadable"].cure
    assert '"sw": 0.1' in findings["mixture-unreadable"].message


def test_the_loss_of_a_language_that_a_run_never_saw_may_be_anything():
    frame = table()
    alone = (pl.col("run_id") == "run10").alias("alone")
    own = pl.col("target") == "fin_Latn"
    shares = [
        pl.when(alone).then(float(name == "fin_Latn")).otherwise(f"share:{name}").alias(f"share:{name}")
        for name in SHARES
    ]
    frame = frame.with_columns(*shares, loss=pl.when(alone & ~own).then(14.0).otherwise("loss"))
    assert found(frame) == {}
    seen = frame.with_columns(loss=pl.when(alone & own).then(14.0).otherwise("loss"))
    assert {"high-loss", "loss-above-uniform"} == found(seen).keys()


def test_only_the_end_of_a_curve_must_be_better_than_guessing():
    frame = table()
    early = frame.filter(pl.col("run_id") == "run33").with_columns(D=pl.lit(1e8), loss=pl.lit(13.0))
    assert "loss-above-uniform" not in found(pl.concat([early, frame]))
