"""The mapping file: what it may say, what is refused with a cure, and what is guessed."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from imports import MAP, FakeSource, curve, run
from isogloss.errors import InputError
from isogloss.runs.importing import guess_mapping, import_runs, read_mapping
from isogloss.runs.importing.expressions import Product
from isogloss.runs.importing.logged import LoggedRun
from isogloss.runs.importing.mapping import (
    Loss,
    Mapping,
    MixtureKeys,
    RunColumns,
    RunNames,
    Tokens,
    mapping_from_text,
)
from isogloss.runs.importing.patterns import Namer, Pattern
from isogloss.runs.importing.remember import Remembered
from isogloss.runs.importing.settings import exposure_rows, run_columns
from isogloss.runs.importing.toml import to_toml

LOSS = {"losses": {"eval/{language}/loss": "bpb"}}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({}, "maps no loss"),
        ({"losses": {"val_loss": "nats/token"}}, "does not say its language"),
        ({"losses": {"{language}/x": {"unit": "bpb", "language": "sw"}}}, "both say the language"),
        ({"losses": {"x": {"unit": "bpb", "language": "sw", "language_from": "lang"}}}, "language twice"),
        ({"losses": {"x": {"language": "sw"}}}, r"losses.x.unit: missing\n.*bits/byte"),
        ({"losses": {"{language}": ""}}, "no unit"),
        ({"losses": {"{language}": "nast/token"}}, "Did you mean 'nats/token'"),
        ({"losses": {"{language}": "perplexty/token"}}, "Did you mean 'perplexity/token'"),
        ({"losses": {"{language}": "perplexity per word"}}, "per word is in no unit"),
        ({"losses": {"x": {"language": "Klingonish", "unit": "bpb"}}}, "Did you mean 'Klingon'"),
        ({"losses": {"{lang}/loss": "bpb"}}, r"unknown placeholder '\{lang\}'"),
        ({"losses": {"{language}/{language}": "bpb"}}, "more than once"),
        ({"losses": {"{language}": {"unti": "bpb"}}}, "Did you mean 'unit'"),
        ({**LOSS, "tokns": {}}, "Did you mean 'tokens'"),
        ({**LOSS, "run": {"params_totl": "N"}}, "Did you mean 'params_total'"),
        ({**LOSS, "tokens": {"per_step": "batch + 1"}}, "no place in a product"),
        ({**LOSS, "tokens": {"per_step": "__import__('os')"}}, "no place in a product"),
        ({**LOSS, "tokens": {"per_step": "f(x)"}}, "no place in a product"),
        ({**LOSS, "tokens": {"per_step": "a ** 9"}}, "no place in a product"),
        ({**LOSS, "tokens": {"per_step": "a *"}}, "is no product"),
        ({**LOSS, "tokens": {"metric": ""}}, "is empty"),
        ({**LOSS, "status": {"crashed": "broken"}}, "unknown status 'broken'"),
        ({**LOSS, "run": {"seed": True}}, "seed"),
        ({**LOSS, "mixture": {"share": "mix.{name}"}}, "unknown placeholder"),
    ],
)
def test_refused_with_the_key_and_a_cure(raw, said):
    with pytest.raises(InputError, match=said) as caught:
        read_mapping(raw)
    assert str(caught.value).startswith("mapping, ")


def test_files_that_are_no_mapping(tmp_path):
    (tmp_path / "bad.toml").write_text("losses = [")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    for name, said in (("none", "no such file"), ("bad", "not TOML"), ("latin", "not UTF-8 at byte 2")):
        with pytest.raises(InputError, match=said):
            read_mapping(tmp_path / f"{name}.toml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("batch_size * seq_len", 2048),
        ("train.batch * 512 / 2", 1024),
        ("512", 512),
        ("70M", 7e7),
        ("seq-len", 64),
        ("trainer/batch", 16),
        ("'trainer/batch' * batch_size", 512),
        ("batch_size / zero", None),
        ("words", None),
        ("nothing * 2", None),
        ("text * 2", 6),
    ],
)
def test_products(text, value):
    settings = {"batch_size": 32, "seq_len": 64, "train.batch": 4, "seq-len": "64", "trainer/batch": 16, "zero": 0}
    assert Product(text).value({**settings, "words": "many", "text": "3"}) == value


def test_the_first_key_that_is_there_counts():
    mapping = read_mapping(
        {**LOSS, "run": {"params_total": ["n", "N"], "tokenizer": {"value": "bpe"}, "seed": ["s", "seed"]}}
    )
    row = run_columns(mapping, {"N": "1.5B", "seed": 3, "s": None})
    assert (row["params_total"], row["tokenizer"], row["seed"]) == (1_500_000_000, "bpe", "3")


@pytest.mark.parametrize(
    "settings",
    [
        {"data.mix.sw": 0.25, "data.mix.en": "0.75", "data.mix.total": 1},
        {"data.mix": '{"sw": 0.25, "en": 0.75}'},
        {"data.mix": "{'sw': 0.25, 'en': 0.75}"},
        {"data.mix": {"sw": 0.25, "en": 0.75}},
    ],
)
def test_mixtures_in_every_form(settings):
    mapping = read_mapping({**LOSS, "mixture": {"share": "data.mix"}})
    rows = exposure_rows(mapping, settings, Namer({}), notes := [])
    assert {r["language"]: r["share"] for r in rows} == {"swh_Latn": 0.25, "eng_Latn": 0.75}
    assert len(notes) == ("data.mix.total" in settings)


def test_weights_are_normalised_where_asked_and_spellings_added():
    mapping = read_mapping({**LOSS, "mixture": {"share": "w.{language}", "normalise": True}})
    rows = exposure_rows(mapping, {"w.sw": 1, "w.swh": 2, "w.en": 1}, Namer({}), notes := [])
    assert {r["language"]: r["share"] for r in rows} == {"swh_Latn": 0.75, "eng_Latn": 0.25}
    assert notes == ["w.{language}: swh is added to what is there of swh_Latn"]


def test_patterns_take_the_whole_name():
    pattern = Pattern("eval/{language}/loss")
    assert pattern.language("eval/deu_Latn/loss") == "deu_Latn"
    assert pattern.language("x/eval/de/loss") is pattern.language("eval//loss") is None
    assert Pattern("a.c").language("abc") is None


def test_an_exact_name_comes_before_a_pattern(tmp_path):
    losses = {"eval/{language}/loss": "nats/token", "eval/sw/loss": {"language": "fin", "unit": "bpb"}}
    report = import_runs(FakeSource([curve()]), tmp_path / "s", {**MAP, "losses": losses})
    assert sorted(m.use for m in report.runs[0].metrics)[:2] == [
        "loss of eng_Latn in nats/token",
        "loss of fin_Latn in bits/byte",
    ]


def test_language_status_and_phase_from_the_mapping(tmp_path):
    losses = {"final_loss": {"language_from": "lang", "unit": "bpb", "phase": "final"}}
    one = run("a", "crashed", {"lang": "Estonian"}, final_loss=([5], [0.9]), tokens=([5], [5e6]))
    bare = run("b", final_loss=([5], [0.9]), tokens=([5], [5e6]))
    mapping = {**MAP, "losses": losses, "status": {"crashed": "killed"}}
    report = import_runs(FakeSource([one, bare]), tmp_path / "s", mapping)
    assert report.runs[0].status == "killed"
    assert report.languages == ["ekk_Latn"]
    assert ("final_loss", "its language is not in the settings", 1, 1) in report.left_out()


def test_toml_reads_back():
    mapping = read_mapping(
        {
            "losses": {'a"b\\{language}': "bpb", "x": {"language": "sw", "unit": "nats/token", "phase": "final"}},
            "tokens": {"metric": ["t", "u v"], "scale": 1e9},
            "run": {"tokenizer": {"value": "é"}, "params_total": ["N", 7e7]},
            "mixture": {"share": "m.{language}", "normalise": True},
            "languages": {"suomi": "fin"},
            "extra": {"x y": "z"},
        }
    )
    assert mapping_from_text(to_toml(mapping), "again") == mapping


def test_every_key_is_documented():
    text = (Path(__file__).parents[1] / "docs" / "import.md").read_text(encoding="utf-8")
    models = (Loss, RunNames, Tokens, RunColumns, MixtureKeys)
    keys = [*Mapping.model_fields, *(key for model in models for key in model.model_fields)]
    for key in keys:
        assert re.search(rf"[`\[.]{key}[`\].]", text), key


# --- guesses ---------------------------------------------------------------------------------------------


def steps_of(names, start=10.4, settings=None, **more) -> LoggedRun:
    points = ([10, 20, 30], [start, start / 2, start / 3])
    return run("a", "finished", settings, **dict.fromkeys(names, points), **more)


def guessed(*runs):
    return guess_mapping(FakeSource(runs))


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["eval/de/loss", "eval/fr/loss", "eval/sw/loss"], "eval/{language}/loss"),
        (["val_loss_deu", "val_loss_fra"], "val_loss_{language}"),
        (["val/loss/deu_Latn", "val/loss/fra_Latn"], "val/loss/{language}"),
        (["eval_de_loss", "eval_fr_loss", "eval_loss"], "eval_{language}_loss"),
        (["German/bpb", "French/bpb"], "{language}/bpb"),
        (["loss.swh_Latn", "loss.eng_Latn", "train_loss"], "loss.{language}"),
        (["eval/zho_Hans/bpb"], "eval/{language}/bpb"),
        (["validation-ekk-bits_per_byte", "validation-fin-bits_per_byte"], "validation-{language}-bits_per_byte"),
    ],
)
def test_patterns_of_losses_are_found(names, pattern):
    tokens = ([10, 20, 30], [1e6, 2e6, 3e6])
    guess = guessed(steps_of(names, settings={"vocab_size": 32_000}, tokens=tokens))
    assert guess.missing == []
    mapping = mapping_from_text(guess.toml, "guess")
    assert list(mapping.losses) == [pattern]
    assert mapping.losses[pattern].unit == ("bits/byte" if "b" in re.sub("language", "", pattern) else "nats/token")


def test_domains_are_no_languages():
    guess = guessed(steps_of(["eval/arxiv/loss", "eval/github/loss", "eval/pile_cc/loss", "eval/se/loss"]))
    assert "{language}" not in guess.toml.split("[tokens]")[0].replace("# ", "")


@pytest.mark.parametrize(
    ("start", "vocabulary", "unit"),
    [
        (math.log(50_257), 50_257, "nats/token"),
        (math.log2(50_257), 50_257, "bits/token"),
        (10.4, None, "nats/token"),
        (3.0, None, None),
        (3.0, 32_000, None),
    ],
)
def test_a_unit_is_told_by_where_a_loss_begins(start, vocabulary, unit):
    settings = {"vocab_size": vocabulary} if vocabulary else {}
    guess = guessed(steps_of(["eval/de/loss", "eval/fr/loss"], start, settings, tokens=([1, 2], [1, 2])))
    if unit:
        assert mapping_from_text(guess.toml, "g").losses["eval/{language}/loss"].unit == unit
    else:
        assert guess.missing == ["the unit of eval/{language}/loss: nats/token or bits/byte?"]
        with pytest.raises(InputError, match="no unit"):
            mapping_from_text(guess.toml, "g")


def test_where_the_rest_stands():
    settings = {
        "model.num_parameters": 1e8,
        "optim.lr": 3e-4,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 4,
        "world_size": 2,
        "max_seq_len": 512,
        "data.weights.de": 3,
        "data.weights.fr": 1,
        "tokenizer_name": "bpe",
        "random_seed": 1,
    }
    rates = ([10, 20], [1e-3, 1e-4])
    guess = guessed(steps_of(["eval/de/bpb", "eval/fr/bpb"], settings=settings, train__learning_rate=rates))
    mapping = mapping_from_text(guess.toml, "guess")
    assert mapping.tokens.per_step == [
        "per_device_train_batch_size * gradient_accumulation_steps * world_size * max_seq_len"
    ]
    assert set(mapping.run.params_total or ()) == {"N", "model.num_parameters"}
    assert mapping.mixture.share == "data.weights.{language}"
    assert mapping.mixture.normalise
    assert mapping.learning_rate
    assert mapping.learning_rate.metric == ["train/learning_rate"]
    assert mapping.run.tokenizer == ["tokenizer_name"]
    assert mapping.run.seed == ["random_seed"]


@pytest.mark.parametrize(
    ("settings", "mixture"),
    [
        ({"share:est": 0.3, "share:fin": 0.7, "unique:est": 1e8}, ("share:{language}", False, "unique:{language}")),
        ({"share:est": 0.3, "share:pile_cc": 0.7, "share:total": 1}, ("share:{language}", False, None)),
        ({"share/pt-BR": 0.3, "share/es": 0.7}, ("share/{language}", False, None)),
        ({"mix_est": 0.3, "mix_fin": 0.7, "layers_swa": 1}, ("mix_{language}", False, None)),
        ({"weights-fin": 3, "weights-est": 1}, ("weights-{language}", True, None)),
        ({"swh_Latn_share": 1}, ("{language}_share", False, None)),
        ({"p.en": 0.5, "p.sw": 0.5, "p.seed": 7}, (None, False, None)),
        ({"layers_swa": 4, "layers_est": 8}, (None, False, None)),
        ({"model.weights.de": 1e9}, (None, False, None)),
        ({"dropout_est": 0.5, "dropout_fin": 0.5}, (None, False, None)),
        ({"data.tokens.est": 1e9, "data.tokens.fin": 1e9}, (None, False, None)),
        ({"eval/de/bpb": 0.5, "eval/fr/bpb": 0.5}, (None, False, None)),
    ],
)
def test_mixtures_are_told_by_name_and_number(settings, mixture):
    guess = guessed(steps_of(["eval/de/bpb", "eval/fr/bpb"], settings={"batch_tokens": 5, **settings}))
    found = mapping_from_text(guess.toml, "guess").mixture
    assert (found.share, found.normalise, found.unique_tokens) == mixture
    assert any("shares" in what for what in guess.lacking) == (found.share is None)


def test_perplexities_are_proposed_where_no_loss_is_logged():
    tokens = ([10, 30], [1e6, 3e6])
    names = ["eval/sw/ppl", "eval/en/ppl", "train/ppl"]
    losses = mapping_from_text(guessed(steps_of(names, 3e4, tokens=tokens)).toml, "guess").losses
    assert {name: loss.unit for name, loss in losses.items()} == {"eval/{language}/ppl": "perplexity/token"}
    both = guessed(steps_of([*names, "eval/sw/loss", "eval/en/loss"], 10.4, tokens=tokens))
    assert list(mapping_from_text(both.toml, "guess").losses) == ["eval/{language}/loss"]
    words = guessed(steps_of(["sw/word_perplexity", "en/word_perplexity"], 50.0, tokens=tokens))
    assert "per word" in words.missing[0]


@pytest.mark.parametrize(("weights", "normalise"), [((0.5, 0.5), False), ((3, 1), True), (("0.75", "0.25"), False)])
def test_weights_are_told_from_shares(weights, normalise):
    settings = {"w.sw": weights[0], "w.en": weights[1]}
    guess = guessed(steps_of(["eval/sw/bpb"], settings={**settings, "batch_tokens": 5}))
    assert mapping_from_text(guess.toml, "guess").mixture.normalise == normalise


def test_a_counter_is_taken_and_its_rate_is_not():
    speed = ([10, 20, 30], [900.0, 1000.0, 950.0])
    counts = ([10, 20, 30], [0.1, 0.2, 0.3])
    guess = guessed(
        steps_of(["eval/de/bpb", "eval/fr/bpb"], train__tokens_per_sec=speed, train__tokens_b=counts, tokens=speed)
    )
    tokens = mapping_from_text(guess.toml, "guess").tokens
    assert tokens.metric == ["train/tokens_b"]
    assert tokens.scale == ["1000000000.0"]


def test_standard_errors_go_with_their_losses():
    names = [f"flores_{code}/bits_per_byte{end}" for code in ("swh_Latn", "eng_Latn") for end in ("", "_stderr")]
    guess = guessed(steps_of(names, settings={"batch_tokens": 1000}))
    losses = mapping_from_text(guess.toml, "guess").losses
    assert {name: loss.stderr for name, loss in losses.items()} == {
        "flores_{language}/bits_per_byte": "flores_{language}/bits_per_byte_stderr"
    }


def test_steps_of_training_come_before_the_trackers():
    settings = {"batch_tokens": 1000}
    counts = ([10, 20, 30], [1, 2, 3])
    guess = guessed(steps_of(["eval/de/bpb", "eval/fr/bpb"], settings=settings, train__global_step=counts))
    tokens = mapping_from_text(guess.toml, "guess").tokens
    assert (tokens.metric, tokens.scale) == (["train/global_step"], ["batch_tokens"])


def test_devices_that_nobody_names_are_asked_for():
    settings = {"per_device_train_batch_size": 8, "seq_len": 512}
    guess = guessed(steps_of(["eval/de/bpb", "eval/fr/bpb"], settings=settings))
    assert "number of devices" in guess.missing[0]


def test_what_is_missing_of_a_step_is_named():
    bare = guessed(steps_of(["eval/de/bpb", "eval/fr/bpb"], settings={"train_batch_size": 8}))
    assert "beside train_batch_size no length of sequences" in bare.missing[0]


def test_d_of_one_evaluation_each_is_a_setting():
    one = run("a", "", {"D": 1e9}, loss__sw=([0], [1.1]), loss__en=([1], [1.2]), D=([0, 1], [1e9, 1e9]))
    unit = run("b", "", {"D": 2e9, "unit": "bpb"}, loss__sw=([0], [1.0]))
    mapping = mapping_from_text(guessed(one, unit).toml, "guess")
    assert (mapping.tokens.total, mapping.losses["loss/{language}"].unit) == (["D"], "bits/byte")


def test_a_guess_and_its_import_read_each_run_once_if_it_fits(tmp_path):
    runs = [steps_of(["eval/de/bpb", "eval/fr/bpb"], tokens=([10, 30], [1e6, 3e6]))]
    source = FakeSource(runs)
    import_runs(source, tmp_path / "s")
    assert source.reads == ["a"]
    large = FakeSource(runs)
    small = Remembered(large, most=7)
    for _ in range(2):
        assert [len(e.read().metrics) for e in small.entries()] == [3]
    assert large.reads == ["a", "a"]
    assert small.points == 0


def test_an_import_without_a_mapping_uses_a_guess_or_says_what_is_missing(tmp_path):
    report = import_runs(
        FakeSource([steps_of(["eval/de/bpb", "eval/fr/bpb"], tokens=([10, 30], [1e6, 3e6]))]), tmp_path / "s"
    )
    assert report.guessed
    assert report.losses == 6
    assert "[losses]" in (tmp_path / "s" / "map.toml").read_text()
    with pytest.raises(InputError, match=r"(?s)unit of eval/\{language\}/loss.*D: no counter.*--guess > map.toml"):
        import_runs(FakeSource([steps_of(["eval/de/loss", "eval/fr/loss"], 3.0)]), tmp_path / "t")
    with pytest.raises(InputError, match="the language of eval/loss"):
        import_runs(FakeSource([steps_of(["eval/loss"])]), tmp_path / "u")
    with pytest.raises(InputError, match="no name looks like one"):
        import_runs(FakeSource([steps_of(["accuracy"])]), tmp_path / "v")
    assert not Path(tmp_path / "t").exists()


def test_one_language_of_each_run():
    one = steps_of(["eval/loss"], settings={"language": "sw"}, tokens=([10, 30], [1, 3]))
    mapping = mapping_from_text(guessed(one).toml, "guess")
    assert mapping.losses["eval/loss"].language_from == "language"
