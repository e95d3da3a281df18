"""How sure a plan is: draws, intervals, regret, and transfer weights with intervals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isogloss.errors import InputError
from isogloss.fitting import fit
from isogloss.laws import atlas_per_language
from isogloss.planning import Plan, Uncertainty, plan, read_question
from isogloss.planning.allocate import Allocator, starting_mixtures
from isogloss.planning.constraints import box_of, constraints_of
from isogloss.planning.draws import LawDraws, draw_laws
from isogloss.planning.evidence import ground
from isogloss.planning.known_laws import NAMES, known_laws
from isogloss.planning.known_transfer import known_transfer
from isogloss.planning.text import Text
from isogloss.transfer import TransferMatrix, weight_from_score
from simulate import chinchilla

BALTIC = Path(__file__).parents[1] / "examples" / "baltic.toml"
TABLE = np.array(
    [[e.coefficients[n] for n in NAMES] for e in atlas_per_language("multi-vocab-mono-train").values()], float
)
SEED = 3


@pytest.fixture(scope="module")
def baltic() -> Plan:
    return plan(BALTIC, draws=60, seed=SEED)


def unsure_of(answer: Plan) -> Uncertainty:
    assert answer.uncertainty is not None
    return answer.uncertainty


def drawn_laws(question: Any, draws: int = 60, seed: int = SEED) -> LawDraws:
    return draw_laws(ground(read_question(question)), draws, seed)


# --- the plan's own -----------------------------------------------------------------------------------


def test_a_plan_has_intervals_by_default(baltic: Plan) -> None:
    answer = baltic.to_dict()["uncertainty"]
    assert (answer["draws"], answer["level"], answer["settled"]) == (60, 0.8, 60)
    assert json.loads(json.dumps(answer)) == answer
    for quantity in ("N", "D", "mean_loss", "regret"):
        assert answer[quantity]["low"] < answer[quantity]["median"] < answer[quantity]["high"]
    for code in baltic.languages:
        assert answer["loss"][code]["low"] < answer["loss"][code]["high"]
        assert answer["shares"][code]["low"] < answer["shares"][code]["high"]
        # Rounding of the way back into the box, and no more.
        assert (
            answer["epochs"][code]["high"] <= dict(zip(baltic.languages, baltic.epoch_caps, strict=True))[code] + 1e-9
        )
    assert answer["flat"]["N_low"] < baltic.N < answer["flat"]["N_high"]
    assert any("transfer" in words for words in answer["varies"])
    assert any("lambda" in words for words in answer["lacks"])
    assert any("whole laws" in words and "lambda" in words for words in baltic.warnings)


def test_every_draws_best_plan_is_one(baltic: Plan) -> None:
    unsure = unsure_of(baltic)
    assert unsure.shares.sum(axis=1) == pytest.approx(1.0)
    assert pytest.approx(baltic.C) == 6 * unsure.N * unsure.D
    assert unsure.epochs == pytest.approx(unsure.shares * unsure.D[:, None] / baltic.text)
    assert (unsure.epochs <= baltic.epoch_caps * (1 + 1e-6)).all()


def test_regret_is_that_of_a_search_of_its_own(baltic: Plan) -> None:
    """For six draws the plan's own search, from eight starts, on the law of that draw."""
    unsure, question = unsure_of(baltic), read_question(BALTIC)
    draws = drawn_laws(BALTIC)
    box = box_of(constraints_of(question, baltic.text), len(baltic.text))
    box = replace(box, N_low=baltic.C / (6 * box.tokens_high.sum()) * (1 + 1e-6))
    starts = starting_mixtures(baltic.text, baltic.D, 4, extra=4, seed=1)
    for i in range(6):
        own = Allocator(draws.at(i), Text.plain(baltic.text), baltic.weights, baltic.C, np.log(64_512))
        assert unsure.loss[i] == pytest.approx(own.losses(baltic.N, baltic.shares), rel=1e-9)
        best = own.best(box, starts, baltic.D)
        assert unsure.best_loss[i] == pytest.approx(best.objective, rel=2e-5)
    assert (unsure.regret >= -1e-7).all()
    for a in baltic.alternatives:
        if not a.over_cap:
            assert (unsure.regret_of(a.name) >= -1e-7).all()


def test_no_draws_no_intervals() -> None:
    bare = plan(BALTIC, draws=0)
    assert bare.to_dict()["uncertainty"] is None
    assert any("asked for none" in w for w in bare.warnings)
    assert "loss_low" not in bare.summary().columns


@pytest.mark.parametrize(
    ("option", "named"), [({"draws": 3}, "draws"), ({"draws": -1}, "draws"), ({"level": 1.0}, "level")]
)
def test_options_out_of_range(option: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        plan(BALTIC, **option)


def test_nothing_with_an_interval_is_no_certainty() -> None:
    alone = plan({"budget": "1e21", "languages": {"English": {"tokens": "100T"}}})
    assert alone.uncertainty is None
    assert any("no intervals" in w and "prints no intervals" in w for w in alone.warnings)


# --- draws of laws ------------------------------------------------------------------------------------


def test_languages_without_a_law_get_whole_laws() -> None:
    laws = known_laws(read_question({"budget": "1e22", "languages": ["Estonian", "English", "Finnish"]}))
    drawn = laws.sample(4000, np.random.default_rng(0))
    english = atlas_per_language("multi-vocab-mono-train")["eng_Latn"]
    assert (drawn[:, 1] == [english.coefficients[n] for n in NAMES]).all()
    which = (drawn[:, [0, 2], None] == TABLE).all(axis=-1)
    assert (which.sum(axis=-1) == 1).all()
    # Each law as often as any other, and two languages more alike than by chance: their common weights vary.
    place = which.argmax(axis=-1)
    assert np.bincount(place.ravel(), minlength=6) / 8000 == pytest.approx([1 / 6] * 6, abs=0.02)
    assert (place[:, 0] == place[:, 1]).mean() == pytest.approx(2 / 7, abs=0.03)


@pytest.fixture(scope="module")
def fits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fits")
    answer = fit("chinchilla", chinchilla().frame(noise=3e-3), starts=16, draws=50)
    answer.save(folder / "wide")
    middle = np.mean(answer.draws, axis=0)
    replace(answer, draws=middle + 0.25 * (answer.draws - middle)).save(folder / "narrow")
    replace(answer, draws=np.tile(answer.values, (50, 1))).save(folder / "sure")
    replace(answer, draws=np.empty((0, len(answer.values)))).save(folder / "drawless")
    return folder


def with_fit(folder: Path) -> Plan:
    own = {"tokens": "100T", "fit": str(folder)}
    question = {"budget": "1e21", "languages": {"Estonian": own, "Finnish": own}, "assumptions": {"transfer": "none"}}
    return plan(question, draws=40)


def test_intervals_shrink_to_nothing_as_draws_agree(fits: Path) -> None:
    widths = []
    for name in ("wide", "narrow", "sure"):
        answer = with_fit(fits / name)
        unsure = unsure_of(answer)
        N = unsure.interval(unsure.N)
        widths.append(np.log(N.high / N.low))
        assert unsure.regret.min() >= -1e-7
    assert widths[0] > 3 * widths[1] > 0
    assert widths[2] == pytest.approx(0, abs=1e-9)
    assert pytest.approx(answer.N, rel=0.01) == unsure.N[0]
    assert unsure.regret == pytest.approx(0, abs=1e-7)


def test_a_fit_without_draws_has_no_interval(fits: Path) -> None:
    answer = with_fit(fits / "drawless")
    assert answer.uncertainty is None
    assert any("made without draws" in w for w in answer.warnings)


def test_one_fit_of_two_languages_is_drawn_once(fits: Path) -> None:
    unsure = unsure_of(with_fit(fits / "wide"))
    assert unsure.loss[:, 0] == pytest.approx(unsure.loss[:, 1])
    assert np.ptp(unsure.loss[:, 0]) > 0


# --- draws of transfer --------------------------------------------------------------------------------


def transfer_of(*codes: str, transfer: str = "predicted") -> Any:
    asked = read_question({"budget": "1e22", "languages": list(codes), "assumptions": {"transfer": transfer}})
    return known_transfer(tuple(asked.languages), asked)


def test_weights_have_draws_around_their_medians() -> None:
    found = transfer_of("ekk_Latn", "fin_Latn", "eng_Latn")
    drawn = found.sample(4000, np.random.default_rng(0))
    assert np.median(drawn, axis=0) == pytest.approx(found.tau, abs=0.03)
    assert (drawn[:, [0, 1, 2], [0, 1, 2]] == 0).all()
    assert np.ptp(drawn, axis=0)[~np.eye(3, dtype=bool)].min() > 0.2
    assert {e.kind for e in found.evidence} == {"predicted"}


def test_published_weights_are_the_figures_own() -> None:
    codes = ("eng_Latn", "fra_Latn", "swh_Latn")
    found = transfer_of(*codes, transfer="published")
    assert found.tau == pytest.approx(TransferMatrix.published().weights_for(codes).tau)
    assert found.sample(10, np.random.default_rng(0)) is None
    assert found.lacks
    assert "without intervals" in found.evidence[0].source


@pytest.mark.parametrize("transfer", ["none", "predicted"])
def test_one_language_needs_no_transfer(transfer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isogloss.transfer.prediction.predict", None)
    assert transfer_of("eng_Latn", transfer=transfer).tau.tolist() == [[0.0]]


def write_scores(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(["target,source,bts,sd,kind", *rows]) + "\n", encoding="utf-8")
    return path


def test_own_scores_overrule_the_published(tmp_path: Path) -> None:
    codes = ("eng_Latn", "fra_Latn", "ekk_Latn")
    rows = [
        "eng_Latn,fra_Latn,0.6,0.01,measured",
        "ekk_Latn,eng_Latn,0.5,0.01,fitted",
        "fra_Latn,eng_Latn,0.9,,predicted",
    ]
    own = transfer_of(*codes, transfer=str(write_scores(tmp_path / "own.csv", rows)))
    before = transfer_of(*codes)
    assert before.tau[0, 1] < 0.2
    assert own.tau[0, 1] == pytest.approx(weight_from_score(0.6), abs=0.02)
    assert own.tau[2, 0] == pytest.approx(weight_from_score(0.5), abs=0.02)
    # A prediction overrules nothing: French keeps its published score from English.
    assert own.kind[1, 0] == "published"
    drawn = own.sample(500, np.random.default_rng(0))
    assert np.std(drawn[:, 0, 1]) < 0.05 < np.std(drawn[:, 2, 1])
    assert {e.quantity: e.kind for e in own.evidence}["transfer.ekk_Latn"] == "predicted"
    assert "1 measured, 1 predicted" in own.evidence[2].source


def test_a_matrix_is_found_beside_the_question(tmp_path: Path) -> None:
    write_scores(tmp_path / "own.csv", ["ekk_Latn,fin_Latn,0.5,0.01,measured"])
    question = tmp_path / "q.toml"
    question.write_text('budget = "1e22"\nlanguages = ["ekk", "fin"]\n[assumptions]\ntransfer = "own.csv"\n')
    assert read_question(question).assumptions.transfer == str(tmp_path / "own.csv")
    assert plan(question, draws=0).kind_of("transfer.ekk_Latn") == "measured"


def test_transfer_that_is_nowhere() -> None:
    with pytest.raises(InputError, match="Did you mean 'published'"):
        transfer_of("eng_Latn", "fra_Latn", transfer="publised")


def test_a_matrix_of_predictions_is_no_evidence(tmp_path: Path) -> None:
    path = write_scores(tmp_path / "own.csv", ["ekk_Latn,fin_Latn,0.5,0.1,predicted"])
    with pytest.raises(InputError, match="no score that was measured"):
        transfer_of("ekk_Latn", "fin_Latn", transfer=str(path))
