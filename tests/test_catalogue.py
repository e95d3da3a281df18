"""The catalogue of published laws: complete against the facts, in step with the classes, clear in errors."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from isogloss import languages, laws
from isogloss.errors import InputError
from isogloss.laws.catalogue import Entry
from isogloss.units import LOSS_UNITS

REPO = Path(__file__).resolve().parents[1]
FACTS = Path(os.environ.get("ISOGLOSS_FACTS", REPO.parent / "shared" / "facts"))
needs_facts = pytest.mark.skipif(
    not (FACTS / "laws.json").exists(),
    reason="the facts folder is not here; set ISOGLOSS_FACTS to check the packaged data against it",
)

# Where the catalogue keeps each record of laws.json: the start of its entries' ids.
HOMES = {
    "atlas": "atlas/",
    "atlas_bts": "atlas-bts/",
    "atlas_bts_predictor": "atlas-bts-predictor/",
    "atlas_fas": "atlas-fas/",
    "atlas_k": "k-law/",
    "atlas_iso_loss": "atlas-iso-loss/",
    "atlas_crossover": "atlas-crossover/",
    "atlas_transfer_vs_scale": "atlas-transfer-vs-scale/",
    "he2024": "family/",
    "chinchilla": "chinchilla/hoffmann2022",
    "besiroglu": "chinchilla/besiroglu2024",
    "muennighoff": "data-constrained/",
    "kaplan": "kaplan/",
    "sardana": "chinchilla/sardana2024",
    "gadre": "over-training/",
    "fernandes": "translation-mixture/",
    "code_plaw": "code-plaw/",
    "code_multilingual": "code-multilingual/",
    "code_translation": "code-translation/",
    "chang2023": "token-equivalents/",
    "hernandez": "data-transfer/",
    "zhang2024_ft": "fine-tuning/",
    "dcpt": "continued-pretraining/",
    "data_mixing_laws": "data-mixing/ye2024",
    "bimix": "data-mixing/bimix2024",
    "merging": "merging/",
    "vocab": "vocabulary/",
    "unimax": "unimax/",
    "fineweb2_rehydration": "rehydration/",
    "mexa": "alignment/mexa2024",
    "language_ranker": "alignment/language-ranker2024",
    "parallel_scaling": "parallel-languages/",
}


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REPO / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, f"{path}#{i}")
    else:
        yield path, value


def published_numbers(constants: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Every number of a record, those inside sentences included."""
    for path, value in leaves(constants):
        if isinstance(value, str) and not value.endswith(".csv"):
            yield from ((path, float(n)) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", value))
        elif isinstance(value, (int, float)):
            yield path, float(value)


def at_home(record_id: str) -> list[Entry]:
    return [entry for entry in laws.entries() if entry.id.startswith(HOMES[record_id])]


def records() -> list[dict[str, Any]]:
    return json.loads((FACTS / "laws.json").read_text(encoding="utf-8"))


def rows(name: str) -> list[dict[str, str]]:
    with (FACTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- against the facts ------------------------------------------------------------------------------


@needs_facts
def test_every_published_number_is_packaged() -> None:
    for record in records():
        entries = at_home(record["id"])
        assert entries, record["id"]
        packaged = {
            number
            for e in entries
            for values in (e.coefficients, e.standard_errors, e.constants)
            for number in values.values()
        }
        for path, number in published_numbers(record["constants"]):
            assert number in packaged, f"{record['id']}{path} = {number}"


@needs_facts
def test_what_was_not_published_is_listed() -> None:
    for record in records():
        unpublished = {path for path, value in leaves(record["constants"]) if value is None}
        if unpublished - {".max_depth"}:  # "null" there means unlimited
            assert any(entry.missing for entry in at_home(record["id"])), record["id"]


@needs_facts
def test_every_row_of_table_c1_is_packaged() -> None:
    table = rows("atlas_table_c1_per_language_laws.csv")
    assert len(table) == 18
    for row in table:
        entry = laws.atlas_per_language(row["regime"])[languages.resolve(row["lang"])]
        expected = {name: float(row[name]) for name in ("E", "alpha", "beta")}
        expected["A"], expected["B"] = math.exp(float(row["a_lnA"])), math.exp(float(row["b_lnB"]))
        assert entry.coefficients == pytest.approx(expected, rel=1e-11)
        assert entry.constants == {"ln_A": float(row["a_lnA"]), "ln_B": float(row["b_lnB"])}


@needs_facts
def test_every_programming_language_and_pair_is_packaged() -> None:
    published = {
        (float(r["L_inf"]), float(r["alpha_N"]), float(r["alpha_D"])) for r in rows("code_language_exponents.csv")
    }
    entries = at_home("code_plaw")
    assert {tuple(e.coefficients[c] for c in ("E", "alpha", "beta")) for e in entries} == published
    pairs = laws.find("code-translation/yang2025-pairs").table
    assert len(pairs) == len(rows("code_translation_law_params.csv")) == 42


@needs_facts
def test_rebuilding_the_catalogue_gives_identical_bytes() -> None:
    module = tool("build_catalogue")
    text = json.dumps(module.build(FACTS), indent=1, ensure_ascii=False) + "\n"
    assert text == module.OUT.read_text(encoding="utf-8")


# --- within the package -----------------------------------------------------------------------------


def test_ids_are_unique_and_each_law_has_an_entry() -> None:
    ids = [entry.id for entry in laws.entries()]
    assert len(ids) == len(set(ids))
    of_no_paper = {"falling", "rising", "data-transfer-one-size"}
    assert {entry.law for entry in laws.entries()} == {None, *laws.law_classes()} - of_no_paper


@pytest.mark.parametrize("entry", laws.entries(), ids=lambda entry: entry.id)
def test_an_entry_says_what_it_is(entry: Entry) -> None:
    assert entry.name
    assert entry.equation
    assert "arXiv:" in entry.source
    assert entry.loss_unit is None or entry.loss_unit in LOSS_UNITS
    assert entry.params_counted in (None, "total", "non-embedding")
    assert all(languages.resolve(code) == code for code in entry.languages or ())
    assert all(low <= high for low, high in entry.ranges.values())
    assert not set(entry.missing) & set(entry.coefficients)
    assert all(np.isfinite(value) for value in entry.coefficients.values())


@pytest.mark.parametrize("entry", [e for e in laws.entries() if e.law], ids=lambda entry: entry.id)
def test_every_coefficient_of_the_class_is_published_missing_or_held(entry: Entry) -> None:
    assert entry.law
    declared = laws.get_law(entry.law).coefficients
    accounted = [*entry.coefficients, *entry.missing, *entry.held]
    assert len(accounted) == len(set(accounted))
    assert {c.name for c in declared if c.default is None} <= set(accounted) <= {c.name for c in declared}
    assert set(entry.standard_errors) <= set(entry.coefficients)


def test_stated_ranges_are_numbers() -> None:
    chinchilla = laws.find("chinchilla/hoffmann2022")
    assert chinchilla.N_range == (70e6, 16e9)
    assert chinchilla.D_range == (5e9, 500e9)
    english = laws.find("atlas/table-c1/multi-vocab-mono-train/eng_Latn")
    assert english.N_range == (10e6, 8e9)
    assert english.D_range is None


@pytest.mark.parametrize(
    ("id", "said"),
    [
        ("chinchilla/hoffmann2022", "TeX"),
        ("chinchilla/besiroglu2024", "Hoffmann"),
        ("data-constrained/muennighoff2023", "95.4"),
        ("atlas-crossover/atlas2025-caption", "off by ten"),
        ("code-plaw/yang2025/python", "figure 2"),
        ("code-translation/yang2025-parallel-seen", "swapped"),
        ("atlas/table-c1/mono-vocab-mono-train/swh_Latn", "interleave"),
        ("atlas/atlas2025", "normalised"),
        ("merging/wang2025-llama3.2-3b", "Table 24"),
    ],
)
def test_conflicting_numbers_are_said_to_conflict(id: str, said: str) -> None:
    assert any(said in sentence for sentence in laws.find(id).conflicts)


# --- what the numbers say ---------------------------------------------------------------------------


def test_the_replication_gives_chinchillas_own_size() -> None:
    """At Chinchilla's budget the refit recommends about the 70B that was trained (arXiv:2404.10102)."""
    c = laws.find("chinchilla/besiroglu2024").coefficients
    N, D = laws.optimal_allocation(c["A"], c["alpha"], c["B"], c["beta"], 5.76e23)
    assert 65e9 < N < 75e9
    assert 18 < D / N < 22
    a = c["beta"] / (c["alpha"] + c["beta"])
    assert a == pytest.approx(laws.find("chinchilla/besiroglu2024").constants["a"], abs=5e-4)


def test_the_rounding_of_beta_is_as_large_as_the_conflict_says() -> None:
    printed, exact = (laws.find(f"chinchilla/hoffmann2022{x}").coefficients["beta"] for x in ("", "-tex"))
    assert 1e11 ** (exact - printed) == pytest.approx(1.13, abs=0.005)


def test_the_data_constrained_optimum_has_the_published_size_per_token() -> None:
    entry = laws.find("data-constrained/muennighoff2023")
    c = entry.coefficients
    per_token = (c["alpha"] * c["A"] / (c["beta"] * c["B"])) ** (1 / c["alpha"])
    assert per_token == pytest.approx(entry.constants["U_N_over_U_D"], abs=5e-4)
    for name in ("A", "B"):
        assert round(c[name]) == entry.constants[f"{name}_printed"]


def test_only_the_captions_crossover_is_off_by_ten() -> None:
    """Tokens at 2.03B parameters; figure 6 shows 144B to 283B."""
    N, tokens = 2.03e9, {}
    for form in ("legend", "caption", "text"):
        c = laws.find(f"atlas-crossover/atlas2025-{form}").coefficients
        tokens[form] = c["c"] * N ** c["p"] / (6 * N) / 1e9
    assert tokens == pytest.approx({"legend": 182, "text": 209, "caption": 1925}, rel=0.01)
    figure = [row["crossover_tokens_B"] for row in laws.find("atlas-crossover/atlas2025-legend").table]
    assert min(figure) < tokens["legend"] < tokens["text"] < max(figure) < tokens["caption"] / 5


def test_the_k_laws_exponents_follow_from_the_printed_ratios() -> None:
    entry = laws.find("k-law/atlas2025")
    c, printed = entry.coefficients, entry.constants
    assert c["phi"] / c["alpha"] == pytest.approx(printed["phi_over_alpha"], abs=5e-4)
    assert 1 + c["psi"] / c["beta"] == pytest.approx(printed["one_plus_psi_over_beta"], abs=5e-4)
    total = c["phi"] / c["alpha"] + 1 + c["psi"] / c["beta"]
    assert total == pytest.approx(printed["compute_exponent"], abs=5e-3)


def test_terms_published_per_million_or_billion_are_raw() -> None:
    """The published formulas in the units that they were published in, at a 7B model."""
    c = laws.find("merging/wang2025-code")
    published = 0.2705 + 0.2238 * 7**-0.378 + 0.0682 * 7**-0.115 / (3 + 0.25)
    assert float(c.build().loss(N=7e9, k=3.0)) == pytest.approx(published, rel=1e-9)
    v = laws.find("vocabulary/tao2024")
    k = v.constants
    sizes = k["A1_per_million"] / 300 ** v.coefficients["alpha1"] + k["A2_per_million"] / 33 ** v.coefficients["alpha2"]
    published = -v.coefficients["E"] + sizes + k["B_per_billion"] / 20 ** v.coefficients["beta"]
    assert float(v.build().loss(N_nv=300e6, N_v=33e6, D=20e9)) == pytest.approx(published, rel=1e-9)


# --- finding and building ---------------------------------------------------------------------------


def test_find_takes_an_id_or_a_prefix_of_one() -> None:
    assert laws.find("chinchilla/besiroglu2024").name == "Chinchilla, replication refit"
    assert laws.find("Data-Constrained").id == "data-constrained/muennighoff2023"
    assert laws.find("chinchilla/hoffmann2022").id == "chinchilla/hoffmann2022"


def test_find_does_not_choose_between_published_sets() -> None:
    with pytest.raises(InputError, match="means 7 published laws") as error:
        laws.find("chinchilla")
    assert "chinchilla/besiroglu2024" in str(error.value)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("chinchila/hoffman2022", "chinchilla/hoffmann2022"),
        ("hoffmann2022", "chinchilla/hoffmann2022"),
        ("chinchila", "chinchilla"),
    ],
)
def test_find_suggests_near_misses(typed: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"Did you mean '{meant}'"):
        laws.find(typed)


def test_find_refuses_nothing_at_all() -> None:
    with pytest.raises(InputError, match="unknown published law ''"):
        laws.find("")


def test_build_makes_a_law_of_the_published_coefficients() -> None:
    law = laws.find("chinchilla/hoffmann2022").build()
    assert isinstance(law, laws.Chinchilla)
    assert law.loss(70e9, 1.4e12) == pytest.approx(1.69 + 406.4 / 70e9**0.34 + 410.7 / 1.4e12**0.28)


def test_build_asks_for_what_was_not_published() -> None:
    with pytest.raises(InputError, match="published without E, A, B"):
        laws.find("k-law/atlas2025").build()
    with pytest.raises(InputError, match="published without A, B") as error:
        laws.find("k-law/atlas2025").build(E=1.0)
    assert "build(A=..., B=...)" in str(error.value)
    law = laws.find("k-law/atlas2025").build(E=1.0, A=500.0, B=300.0)
    assert law.to_dict()["phi"] == 0.11


def test_build_makes_atlas_monolingual_unless_told_otherwise() -> None:
    entry = laws.find("atlas/table-c1/multi-vocab-mono-train/eng_Latn")
    law = entry.build(lambda_=0.065)
    assert isinstance(law, laws.Atlas)
    assert np.shape(law.tau) == (0,)
    assert law.tau_other == law.phi == 0.0
    other = entry.build(lambda_=0.065, tau=[0.2], tau_other=-0.1, dose="equal")
    assert isinstance(other, laws.Atlas)
    assert other.dose == "equal"


def test_build_does_not_overrule_what_was_published() -> None:
    with pytest.raises(InputError, match=r"published with alpha = 0\.34") as error:
        laws.find("chinchilla/hoffmann2022").build(alpha=0.5)
    assert "dataclasses.replace" in str(error.value)


def test_build_says_so_where_isogloss_has_no_formula() -> None:
    with pytest.raises(InputError, match="no formula in isogloss"):
        laws.find("kaplan/kaplan2020-univariate").build()


def test_build_refuses_unknown_coefficients() -> None:
    with pytest.raises(InputError, match="Did you mean 'lambda_'"):
        laws.find("atlas/table-c1/multi-vocab-mono-train/eng_Latn").build(lambda_=0.1, lambda1=0.1)


def test_table_c1_by_language() -> None:
    found = laws.atlas_per_language("multi_vocab_unimax_train")
    assert set(found) == {"eng_Latn", "fra_Latn", "rus_Cyrl", "cmn_Hani", "hin_Deva", "swh_Latn"}
    assert found["swh_Latn"].languages == ("swh_Latn",)
    with pytest.raises(InputError, match="unknown regime"):
        laws.atlas_per_language("unimax")


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("chinchilla", "Chinchilla"),
        ("Hoffmann", "Chinchilla"),
        ("data_constrained", "DataConstrained"),
        ("muennighoff", "DataConstrained"),
        ("k", "KLaw"),
        ("K law", "KLaw"),
        ("he2024", "FamilyLaw"),
        ("MSL", "FamilyLaw"),
        ("atlas", "Atlas"),
    ],
)
def test_laws_go_by_several_names(name: str, law: str) -> None:
    assert laws.get_law(name) is getattr(laws, law)


def test_an_unknown_law_gets_near_misses() -> None:
    with pytest.raises(InputError, match="Did you mean 'chinchilla'"):
        laws.get_law("chinchila")


def test_every_class_goes_by_its_own_name() -> None:
    assert all(laws.get_law(name) is law for name, law in laws.law_classes().items())


def test_public_names_load_on_first_use() -> None:
    names = ("Law", "Chinchilla", "DataConstrained", "Atlas", "KLaw", "FamilyLaw", "saturated", "check_law")
    assert all(name in dir(laws) and getattr(laws, name) for name in names)
    with pytest.raises(AttributeError, match="no attribute 'Chincilla'"):
        getattr(laws, "Chincilla")  # noqa: B009


def test_reading_the_catalogue_needs_no_jax() -> None:
    code = "import sys; from isogloss import laws; laws.find('k-law'); sys.exit('jax' in sys.modules)"
    path = os.pathsep.join([str(REPO / "src"), os.environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})
