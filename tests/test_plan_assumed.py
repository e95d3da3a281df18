"""Languages of which too little is known: refused with what to give, or planned on marked assumptions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isogloss.cli.main import run
from isogloss.errors import InputError
from isogloss.languages import all_languages, get, resolve, tokens_available
from isogloss.planning import Plan, plan, read_question
from isogloss.planning.assumed import allowing, lacking, scarce_tokens
from isogloss.planning.given import evaluate_given
from isogloss.report.plan_page import plan_page
from isogloss.report.plan_reproduce import Reproduce

# Abellen Ayta has a descent and no text, Desiya neither; of undetermined Cyrillic text, and of a private code with
# text of the user's, nothing is known but the text.
CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "abp_Latn": ({}, ("text",)),
    "dso_Orya": ({}, ("text", "relations")),
    "und_Cyrl": ({}, ("relations",)),
    "qaa_Latn": ({"tokens": "5B"}, ("relations",)),
    "qab_Cyrl": ({}, ("text", "relations")),
}
SAYS = {"text": "how much text there is of {} is not known", "relations": "{} has no law of its own, and its descent"}
GIVE = {"text": 'tokens = "200M"', "relations": "a fit of its own runs"}


def question(code: str, need: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"budget": "1e21", "languages": {code: need, "Russian": {}}, **more}


@pytest.mark.parametrize("code", list(CASES))
def test_what_is_not_known_is_refused_with_what_to_give(code: str) -> None:
    need, missing = CASES[code]
    with pytest.raises(InputError) as caught:
        plan(question(code, need), draws=0)
    text = str(caught.value)
    assert f"languages.{code}" in text
    assert "--allow-assumed" in text
    for part in ("text", "relations"):
        assert (SAYS[part].format(code) in text) == (part in missing)
        assert (GIVE[part] in text) == (part in missing)


@pytest.fixture(scope="module")
def allowed() -> dict[str, Plan]:
    return {code: plan(question(code, need), draws=10, allow_assumed=True) for code, (need, _) in CASES.items()}


@pytest.mark.parametrize("code", list(CASES))
def test_what_is_allowed_is_marked(code: str, allowed: dict[str, Plan]) -> None:
    found, missing = allowed[code], CASES[code][1]
    kinds = {e.quantity: e.kind for e in found.evidence}
    warned = [w for w in found.warnings if code in w]
    assert found.kind_of(f"loss.{code}") == "assumed"
    assert kinds[f"law.{code}"] == "assumed"
    if "text" in missing:
        assert kinds[f"text.{code}"] == "assumed"
        assert found.text[0] == scarce_tokens()
        assert any(w.startswith(f"no text is known of {code}: ") for w in warned)
    assert (kinds[f"transfer.{code}"] == "assumed") == ("relations" in missing)
    assert any(w.startswith(f"nothing is known of {code} but the script") for w in warned) == ("relations" in missing)
    assert kinds["transfer.rus_Cyrl"] != "assumed"
    asked = allowing(read_question(question(code, CASES[code][0])))
    page = plan_page(found, asked, Reproduce("isogloss plan", (), {}))
    assert get(code).short_name in page
    assert "nothing is known of" in page.casefold() or "no text is known" in page.casefold()


def test_the_assumed_amount_is_less_than_most_have() -> None:
    counts = [t.tokens for e in all_languages() if (t := tokens_available(e.code))]
    assert np.mean(np.array(counts) > scarce_tokens()) == pytest.approx(0.9, abs=0.005)


def test_ordinary_languages_need_no_permission() -> None:
    """All languages of the inventory: their text is known, and so is their descent."""
    asked = read_question(
        {"budget": "1e21", "languages": [e.code for e in all_languages() if tokens_available(e.code)]}
    )
    assert len(asked.languages) > 1800
    assert lacking(asked) == {}


def test_the_question_may_allow_it_itself(allowed: dict[str, Plan]) -> None:
    asked = question("und_Cyrl", {}, assumptions={"allow_assumed": True})
    assert plan(asked, draws=10).objective == allowed["und_Cyrl"].objective


def test_own_scores_are_evidence(tmp_path: Path) -> None:
    scores = tmp_path / "scores.csv"
    scores.write_text("target,source,bts\nqaa_Latn,eng_Latn,0.3\n", encoding="utf-8")
    asked = {"budget": "1e21", "languages": {"qaa_Latn": {"tokens": "5B"}, "English": {}}}
    found = plan({**asked, "assumptions": {"transfer": str(scores)}}, draws=0)
    assert found.kind_of("transfer.qaa_Latn") == "measured"
    with pytest.raises(InputError, match="descent"):
        plan(asked, draws=0)


def test_more_than_one_are_told() -> None:
    asked = {"budget": "1e21", "languages": ["und_Cyrl", "abp_Latn", "Russian"]}
    with pytest.raises(InputError, match="too little is known of abp_Latn too"):
        plan(asked, draws=0)


def test_a_plan_of_ones_own_needs_permission_too() -> None:
    asked, mixture = question("und_Cyrl", {}), {"und_Cyrl": 0.5, "Russian": 0.5}
    with pytest.raises(InputError, match="--allow-assumed"):
        evaluate_given(asked, mixture, draws=0)
    found = evaluate_given(asked, mixture, draws=0, allow_assumed=True)
    assert any("nothing is known of und_Cyrl" in w for w in found.best.warnings)


def test_from_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'budget = "1e21"\nlanguages = ["und_Cyrl", "Russian"]\n'
    for name in ("a.toml", "b.toml"):
        Path(name).write_text(text, encoding="utf-8")
    Path("b.toml").write_text(text.replace("1e21", "2e21"), encoding="utf-8")
    assert run(["plan", "a.toml", "--draws", "0", "--json"]) != 0
    assert "--allow-assumed" in capsys.readouterr().err
    assert run(["plan", "a.toml", "--draws", "0", "--allow-assumed", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "--allow-assumed" in found["reproduce"]["command"]
    assert found["evidence"]["transfer.und_Cyrl"]["kind"] == "assumed"
    assert run(["plan", "a.toml", "--draws", "0", "--allow-assumed", "-o", "out"]) == 0
    shown = capsys.readouterr().out
    assert "nothing is known of und_Cyrl but the script" in shown
    assert "assumptions.allow_assumed" in Path("out/plan.html").read_text(encoding="utf-8")
    assert run(["plan", "a.toml", "b.toml", "--draws", "0", "--allow-assumed", "--json"]) == 0
    assert "nothing is known of und_Cyrl" in capsys.readouterr().out


# --- private codes --------------------------------------------------------------------------------------


def test_private_codes_are_languages_of_the_users_own() -> None:
    assert resolve("qaa-Latn") == resolve("QTZ_latn".replace("QTZ", "qaa")) == "qaa_Latn"
    entry = get("qtz_Cyrl")
    assert (entry.name, entry.script, entry.utf8_bytes, entry.family) == ("Private language qtz", "Cyrl", None, None)
    assert tokens_available("qaa_Latn") is None


@pytest.mark.parametrize(("query", "says"), [("qaa", "no script"), ("qab_Lattn", "no script 'lattn'")])
def test_private_codes_need_a_script(query: str, says: str) -> None:
    with pytest.raises(InputError, match=rf"(?s){says}.*such as {query[:3]}_Latn"):
        resolve(query)
