"""Resumes, restarts of counters and joins by step: every point has one fate, and the repaired counter is right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imports import MAP, run, series
from isogloss.runs.importing.convert import convert
from isogloss.runs.importing.join import Rates, tokens_at
from isogloss.runs.importing.mapping import read_mapping
from isogloss.runs.importing.resumes import Counter, counter, in_order

STEPS = st.lists(st.integers(0, 60), max_size=40)
VALUES = st.floats(allow_nan=True, allow_infinity=True, width=32)


@st.composite
def metric(draw, values=VALUES):
    steps = draw(STEPS)
    return steps, draw(st.lists(values, min_size=len(steps), max_size=len(steps)))


@settings(max_examples=300, deadline=None)
@given(metric(), metric(), metric(st.floats(0, 1e9)), metric(st.floats(0, 1)), st.booleans())
def test_the_counts_of_every_metric_add_up(sw, en, tokens, rate, counted):
    """MetricAccount raises where they do not; here, that no metric is forgotten and kept points are in the table."""
    mapping = read_mapping(
        {
            **MAP,
            "losses": {"eval/{language}/loss": {"unit": "bpb", "stderr": "eval/{language}/se"}},
            "tokens": {"metric": "tokens"} if counted else {"per_step": "N"},
            "learning_rate": {"metric": "lr"},
        }
    )
    one = run(eval__sw__loss=sw, eval__en__loss=en, eval__en__se=sw, tokens=tokens, lr=rate, other=en)
    found = convert(one, mapping, "fake")
    assert {a.metric for a in found.metrics} == set(one.metrics)
    for account in found.metrics:
        assert account.read == len(one.metrics[account.metric])
        assert account.read == account.kept + sum(account.left_out.values())
    kept = sum(a.kept for a in found.metrics if a.use.startswith("loss"))
    assert kept == found.evals.height
    assert found.evals["loss"].is_finite().all()
    assert (found.evals["tokens"] > 0).all()
    assert not found.evals.select("language", "step").is_duplicated().any()


@settings(max_examples=200, deadline=None)
@given(metric(), st.booleans())
def test_points_in_order_are_a_subset_with_rising_steps(points, resumed):
    logged = series(*points)
    found = in_order(logged, resumed=resumed)
    assert (np.diff(found.step) > 0).all()
    assert len(found.kept) + found.replaced + found.repeated == len(logged)
    np.testing.assert_array_equal(logged.step[found.kept], found.step)
    if len(logged):
        # The very last point always counts, and every step has one where none is given up.
        assert len(logged) - 1 in found.kept
        assert resumed or set(found.step) == set(logged.step)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(2, 20), min_size=2, max_size=4), st.integers(1, 10_000))
def test_a_counter_that_begins_anew_is_the_counter_that_never_did(lengths, rate):
    """Restarts at a logged point: the repaired counter is exact. (After a single point no fall would show it.)"""
    steps, values, truth, at = [], [], [], 0
    for length in lengths:
        for i in range(1, length + 1):
            steps.append(at + i)
            values.append(rate * i)
            truth.append(rate * (at + i))
        at += length
    found = counter(series(steps, values), 1.0)
    if found is None:
        pytest.fail("a counter with three restarts is one")
    np.testing.assert_allclose(found.tokens, truth)


def test_restart_between_two_points_counts_the_steps_between():
    # From a checkpoint at step 250, logged every 100 steps: the first point after it has seen 50 steps.
    found = counter(series([100, 200, 300, 400], [100, 200, 50, 150]), 10.0)
    assert found is not None
    assert found.restarts == (300,)
    assert found.tokens.tolist() == [1000, 2000, 3000, 4000]


def test_resume_with_overlap_and_restart():
    # 300 and 400 were logged, then the run went on from step 250 with a counter of its own.
    found = counter(series([100, 200, 300, 400, 300, 400, 500], [100, 200, 300, 400, 50, 150, 250]), 1.0)
    assert found is not None
    assert found.replaced == 2
    assert found.tokens.tolist() == [100, 200, 300, 400, 500]


def test_what_rises_and_falls_is_no_counter():
    rng = np.random.default_rng(0)
    assert counter(series(list(range(1, 101)), rng.uniform(0, 9, 100).tolist()), 1.0) is None
    one = run(eval__sw__loss=([10, 20], [3, 2]), tokens=(range(1, 101), rng.uniform(0, 9, 100)))
    found = convert(one, read_mapping(MAP), "fake")
    assert found.evals.is_empty()
    assert "tokens is not used: rises and falls: no counter" in found.notes


def test_of_steps_logged_twice_the_later_counts():
    overlap = ([10, 20, 30, 20, 30, 40], [3.0, 2.9, 2.8, 2.95, 2.85, 2.7])
    one = run(eval__sw__loss=overlap, tokens=(overlap[0], [1e3 * s for s in overlap[0]]))
    found = convert(one, read_mapping(MAP), "fake")
    assert found.evals["loss"].to_list() == [3.0, 2.95, 2.85, 2.7]
    assert [a.left_out for a in found.metrics] == [{"replaced by a resume": 2}] * 2
    assert "resumed: of steps logged twice the later counts" in found.notes


def test_points_logged_late_are_no_resume():
    """The counter went straight on: evaluations came in another order."""
    one = run(eval__sw__loss=([30, 10, 20], [2.8, 3.0, 2.9]), tokens=([10, 20, 30], [1e3, 2e3, 3e3]))
    found = convert(one, read_mapping(MAP), "fake")
    assert found.evals["loss"].to_list() == [3.0, 2.9, 2.8]
    assert all(not account.left_out for account in found.metrics)


def test_no_tokens_are_made_up():
    flat = Counter(np.array([100, 200]), np.array([5000.0, 6000.0]))
    joined = tokens_at(np.array([0, 50, 100, 150, 200, 250]), flat)
    assert joined.why_not == {"before the first token count": 2, "after the last token count": 1}
    np.testing.assert_array_equal(joined.tokens, [np.nan, np.nan, 5000, 5500, 6000, np.nan])
    proportional = tokens_at(np.array([0, 50]), Counter(np.array([100, 200]), np.array([1000.0, 2000.0])))
    assert proportional.why_not == {"at zero tokens": 1}
    assert proportional.tokens[1] == 500


def test_a_scale_that_cannot_be():
    one = run("a", "", {}, eval__sw__loss=([10, 20], [3, 2]), tokens=([0, 10, 20], [0, 1e15, 2e15]))
    found = convert(one, read_mapping({**MAP, "tokens": {"metric": "tokens", "scale": 1e9}}), "fake")
    assert found.metrics[0].left_out == {"more than 1e18 tokens: check the scale": 2}


def test_steps_times_batch_and_the_total():
    one = run("a", "finished", {"batch": 8, "length": 100}, eval__sw__loss=([10, 20], [3, 2]))
    by_batch = convert(one, read_mapping({**MAP, "tokens": {}}), "fake")
    assert by_batch.evals["tokens"].to_list() == [8000, 16000]
    total = read_mapping({**MAP, "tokens": {"total": "batch"}})
    at_end = convert(one, total, "fake")
    assert at_end.evals.select("step", "tokens").rows() == [(20, 8)]


def test_scale_of_the_counter_may_be_a_product():
    """A counter of optimizer steps, where the tracker's own step counts log calls."""
    one = run("a", "finished", {"b": 8, "l": 100}, eval__sw__loss=([5, 7], [3, 2]), at=([5, 7], [10, 20]))
    mapping = read_mapping({**MAP, "tokens": {"metric": "at", "scale": "b * l"}})
    assert convert(one, mapping, "fake").evals["tokens"].to_list() == [8000, 16000]
    bare = read_mapping({**MAP, "tokens": {"metric": "at", "scale": "b * nothing"}})
    found = convert(one, bare, "fake")
    assert found.evals.is_empty()
    assert "its scale is not in the settings" in found.metrics[1].left_out


def test_rates_that_say_nothing():
    steps = np.array([1, 2, 3])
    assert Rates(steps, np.zeros(3)).phases(steps, finished=True).tolist() == ["", "", ""]
    assert Rates(steps, np.ones(3)).phases(steps, finished=True).tolist() == ["stable"] * 3
