"""What the runs cannot tell: each flaw of a design is named with its cause, sound designs are left in peace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.fitting import Fit, fit, load_fit
from isogloss.fitting.causes import levels
from isogloss.fitting.identify import Finding
from isogloss.report.fit_findings import findings_card
from simulate import DESIGNS, chinchilla, chinchilla_loss, data_constrained, family, grid, k_law, noisy

NOISE = 3e-3


def plain(N: np.ndarray, D: np.ndarray, *, seed: int = 0) -> pl.DataFrame:
    return pl.DataFrame({"N": N, "D": D, "loss": noisy(chinchilla_loss(N, D), NOISE, seed)})


def one_size() -> pl.DataFrame:
    return plain(*grid([1e9], np.geomspace(1e9, 1e12, 12)))


def two_sizes(seed: int = 0) -> pl.DataFrame:
    return plain(*grid([1e8, 1e9], np.geomspace(1e9, 1e12, 12)), seed=seed)


def two_token_counts() -> pl.DataFrame:
    return plain(*grid(np.geomspace(1e8, 1e10, 12), [1e10, 1e11]))


def one_line() -> pl.DataFrame:
    N = np.geomspace(3e7, 1e10, 24)
    return plain(N, 20 * N)


def narrow_sizes() -> pl.DataFrame:
    return plain(*grid(np.geomspace(1e9, 1.6e9, 5), np.geomspace(1e9, 1e12, 5)))


def once_only() -> pl.DataFrame:
    frame = data_constrained().frame(noise=1e-3)
    return frame.filter(pl.col("D") <= pl.col("unique_tokens"))


def mixtures(shares: list[list[float]]) -> pl.DataFrame:
    """English with French, German and Chinese in the shares given, of text without end."""
    names = ["en", "fr", "de", "zh"]
    N, D, which = grid(np.geomspace(3e7, 3e9, 3), np.geomspace(1e9, 3e11, 4), np.arange(len(shares)))
    p = np.array(shares)[which.astype(int)]
    seen = D * (p @ np.array([1, 0.3, -0.15, 0.08]))
    loss = 1.1 + 400 / N**0.34 + 600 / seen**0.29
    columns = {f"share:{n}": p[:, i] for i, n in enumerate(names)}
    return pl.DataFrame({"N": N, "D": D, "target": ["en"] * len(N), **columns, "loss": noisy(loss, 1e-3, 0)})


ALONE, HALF_FRENCH, HALF_GERMAN, HALF_CHINESE = [1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.5, 0, 0.5, 0], [0.5, 0, 0, 0.5]
SOURCES: dict[str, Any] = {"sources": ["fra_Latn", "deu_Latn"]}


def named(answer: Fit, *coefficients: str) -> Finding:
    """The one finding about all of these."""
    found = [f for f in answer.health.findings if set(coefficients) <= set(f.coefficients)]
    assert len(found) == 1, answer.health.findings
    return found[0]


@pytest.mark.slow
@pytest.mark.parametrize("law", sorted(DESIGNS))
def test_sound_designs_are_left_in_peace(law: str) -> None:
    design = DESIGNS[law]()
    answer = fit(law, design.frame(noise=1e-3), draws=0, **design.options)
    assert answer.health.findings == ()
    assert findings_card(answer).table is None


@pytest.mark.parametrize(
    ("law", "make", "coefficients", "why"),
    [
        ("chinchilla", one_size, ("alpha", "A", "E"), "one model size (1B)"),
        ("chinchilla", two_sizes, ("alpha", "A", "E"), "only 2 model sizes (100M and 1B)"),
        ("chinchilla", two_token_counts, ("beta", "B", "E"), "only 2 token counts (10B and 100B)"),
        ("chinchilla", one_line, ("alpha", "beta"), "about 20 tokens per parameter"),
        ("chinchilla", narrow_sizes, ("alpha",), "span only a factor 1.6"),
        ("data-constrained", once_only, ("R_D",), "no run sees its text more than once"),
        (
            "k-law",
            lambda: k_law().frame().filter(pl.col("share:de") == 0.25),
            ("phi", "psi"),
            "the same number of languages (4)",
        ),
        ("family", lambda: family().frame().filter(pl.col("share:de") == 1), ("gamma",), "the same share (1)"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else None,
)
def test_a_flaw_is_named_with_its_cause_and_a_cure(
    law: str, make: Callable[[], pl.DataFrame], coefficients: tuple[str, ...], why: str
) -> None:
    finding = named(fit(law, make(), draws=0), *coefficients)
    assert why in finding.why
    assert finding.cure.startswith("Add runs")
    assert finding.additions
    best = finding.additions[0]
    assert any(best.then[n] < 0.5 * best.now[n] for n in coefficients)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shares", "coefficients", "why"),
    [
        pytest.param([ALONE, HALF_CHINESE], ("tau[fra_Latn]",), "no run trains on fra_Latn", id="never there"),
        pytest.param([HALF_FRENCH], ("tau[fra_Latn]", "B"), "same dose of fra_Latn (1 tokens", id="always there"),
        pytest.param(
            [ALONE, [0.5, 0.3, 0.2, 0], [0.25, 0.45, 0.3, 0]],
            ("tau[fra_Latn]", "tau[deu_Latn]"),
            "the dose of fra_Latn moves with that of deu_Latn",
            id="together",
        ),
        pytest.param(
            [ALONE, HALF_GERMAN, [0.5, 0.25, 0, 0.25], [0.2, 0.4, 0, 0.4]],
            ("tau[fra_Latn]", "tau_other"),
            "the dose of fra_Latn moves with that of the other languages",
            id="with the others",
        ),
    ],
)
def test_transfer_is_not_told_from_doses_that_do_not_vary(
    shares: list[list[float]], coefficients: tuple[str, ...], why: str
) -> None:
    finding = named(fit("atlas", mixtures(shares), draws=0, **SOURCES), *coefficients)
    assert why in finding.why
    assert any("fra_Latn" in a.words or "target" in a.words for a in finding.additions)


def test_transfer_is_told_from_pairs_and_the_target_alone() -> None:
    """Of text without end nothing repeats: that alone is left open."""
    frame = mixtures([ALONE, HALF_FRENCH, HALF_GERMAN, HALF_CHINESE])
    findings = fit("atlas", frame, draws=0, **SOURCES).health.findings
    assert [f.coefficients for f in findings] == [("lambda_",)]
    assert "no run sees its text more than once" in findings[0].why


def test_a_limit_that_no_loss_is_near_is_said() -> None:
    N, D = grid(np.geomspace(1e6, 1e8, 6), np.geomspace(1e7, 1e9, 6))
    loss = 406 / N**0.28 + 400 / D**0.25 - 0.3
    finding = named(fit("chinchilla", pl.DataFrame({"N": N, "D": D, "loss": noisy(loss, 1e-3, 1)}), draws=0), "E")
    assert "no loss is near enough to the limit" in finding.why


# --- the runs proposed do what is said --------------------------------------------------------------


def added(frame: pl.DataFrame, finding: Finding, seed: int) -> pl.DataFrame:
    more = finding.additions[0].runs
    return pl.concat([frame, plain(np.array(more["N"]), np.array(more["D"]), seed=1000 + seed)])


@pytest.mark.slow
@pytest.mark.parametrize(("make", "lowest"), [(two_sizes, 0.5), (one_line, 0.1)], ids=["two sizes", "one line"])
def test_runs_that_are_proposed_shrink_the_error_as_said(make: Callable[[], pl.DataFrame], lowest: float) -> None:
    """Refits of many noisy tables with the runs added scatter by about the error that was promised."""
    finding = named(fit("chinchilla", make(), draws=0), "alpha")
    found = []
    for seed in range(24):
        base = make().with_columns(
            loss=noisy(chinchilla_loss(make()["N"].to_numpy(), make()["D"].to_numpy()), NOISE, seed)
        )
        answer = fit("chinchilla", added(base, finding, seed), starts=6, draws=0)
        found.append(np.log(next(e.value for e in answer.coefficients if e.name == "alpha")))
    scatter = float(np.std(found, ddof=1))
    promised = finding.additions[0].then["alpha"]
    assert promised < 0.2 * finding.additions[0].now["alpha"]
    # Where the terms cannot be told apart the promise rests on a usual split of them: it may be too modest (0.18 here).
    assert lowest < scatter / promised < 2


def test_runs_are_within_reach() -> None:
    """None costs more than a few times the dearest run there is."""
    frame = two_sizes()
    dearest = 6 * float((frame["N"] * frame["D"]).max())  # type: ignore[arg-type]
    for addition in named(fit("chinchilla", frame, draws=0), "alpha").additions:
        costs = 6 * np.array(addition.runs["N"]) * np.array(addition.runs["D"])
        assert costs.max() <= 5 * dearest
        assert addition.flops == pytest.approx(costs.sum())


# --- partial answers and refusals -------------------------------------------------------------------


def test_one_language_gives_the_monolingual_form_and_says_so() -> None:
    answer = fit("atlas", mixtures([ALONE]), draws=0)
    finding = named(answer, "tau_other")
    assert "no run trains on the other languages" in finding.why
    assert "held at tau_other = 0, so that the law is of such runs only" in finding.why
    found = {e.name: e.value for e in answer.coefficients}
    assert found["beta"] == pytest.approx(0.29, rel=0.1)
    assert answer.has_frontier


def test_one_number_of_languages_gives_the_law_of_that_number() -> None:
    """The terms of four languages are fitted as they are, with nothing for other numbers."""
    frame = k_law().frame().filter(pl.col("share:de") == 0.25)
    answer = fit("k-law", frame, draws=0)
    held = {e.name: e.value for e in answer.coefficients if e.held}
    assert held == {"phi": 0.0, "psi": 0.0}
    assert answer.rows["relative_error"].abs().max() < 2e-3  # type: ignore[operator]


def test_too_few_runs_are_told_how_many_and_where() -> None:
    with pytest.raises(InputError) as caught:
        fit("chinchilla", one_size().head(3), draws=0)
    assert "Add 3 runs or more, at 2 more sizes" in str(caught.value)


# --- where they are seen ----------------------------------------------------------------------------


def test_findings_are_saved_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_sizes().write_csv(tmp_path / "runs.csv")
    folder = tmp_path / "fit"
    assert run(["fit", str(tmp_path / "runs.csv"), "--law", "chinchilla", "--draws", "0", "-o", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "What the runs cannot tell" in shown
    assert "only 2 model sizes" in shown
    loaded, again = load_fit(folder), fit("chinchilla", two_sizes(), draws=0)
    assert loaded.health.findings == again.health.findings
    card = findings_card(loaded)
    assert card.table is not None
    assert "only 2 model sizes" in card.sentence
    assert "only 2 model sizes" in (folder / "fit.html").read_text(encoding="utf-8")


def test_levels_are_values_that_differ() -> None:
    assert levels(np.array([1e9, 1.02e9, 5e9, 0.0, np.inf])) == 2
    assert levels(chinchilla().columns["N"]) == 7
