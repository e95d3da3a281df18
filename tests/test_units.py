import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.errors import InputError
from isogloss.units import (
    LOSS_UNITS,
    bits_per_byte,
    bits_to_nats,
    format_quantity,
    loss_unit,
    nats_per_token,
    nats_to_bits,
    parse_quantity,
    training_flops,
)

KINDS = ("count", "tokens", "flops", "bytes", "parameters")


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("3e22", None, 3e22),
        ("3e22 FLOPs", "flops", 3e22),
        ("5.76E+23flop", "flops", 5.76e23),
        ("12 ZFLOPs", "flops", 12e21),
        ("1 EFLOP", "flops", 1e18),
        ("10B tokens", "tokens", 1e10),
        ("10 billion tokens", "tokens", 1e10),
        ("1.3T", "tokens", 1.3e12),
        ("70M", "parameters", 7e7),
        ("70m params", "parameters", 7e7),
        ("7k", "count", 7e3),
        ("1,000,000", "count", 1e6),
        ("1_000", "count", 1e3),
        (".5B", "tokens", 5e8),
        ("2.5 GB", "bytes", 2.5e9),
        ("2.5gb", "bytes", 2.5e9),
        ("1 TB", None, 1e12),
        ("1 GiB", "bytes", 2.0**30),
        ("12 bytes", "bytes", 12.0),
        (" 40 ", "count", 40.0),
        (1e9, "tokens", 1e9),
        (7, None, 7.0),
    ],
)
def test_parses_what_people_write(text, kind, number):
    assert parse_quantity(text, kind) == pytest.approx(number, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("10B tokens", "flops", "tokens"),
        ("3e22 FLOPs", "tokens", "flops"),
        ("2 GB", "tokens", "bytes"),
        ("10 tokens", "count", "tokens"),
        ("10B", "bytes", "billions"),
        ("1e15 FLOP/s", "flops", "not a quantity"),
        ("10 apples", None, "apples"),
        ("2 B GB", None, "unknown unit"),
        ("-3", None, "not positive"),
        ("0", None, "not positive"),
        ("nan", None, "not a number"),
        ("inf", None, "not finite"),
        ("1e999", None, "not finite"),
        ("", None, "not a quantity"),
        ("many", None, "not a quantity"),
        ("1,00", None, "not a quantity"),
        (True, None, "not a number"),
        (None, None, "not a number"),
        (float("nan"), None, "not a number"),
        (-1.0, None, "not positive"),
    ],
)
def test_refuses_with_examples(text, kind, reason):
    with pytest.raises(InputError, match=reason) as caught:
        parse_quantity(text, kind, where="--budget")
    assert "Valid: " in str(caught.value)
    assert str(caught.value).startswith("--budget: ")


def test_unknown_kind_is_named():
    with pytest.raises(InputError, match="flops"):
        parse_quantity("1", "flop")  # type: ignore[arg-type]


@given(st.text(max_size=12), st.sampled_from((None, *KINDS)))
def test_any_text_is_a_positive_number_or_an_input_error(text, kind):
    try:
        number = parse_quantity(text, kind)
    except InputError:
        return
    assert math.isfinite(number)
    assert number > 0


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (1.23e10, "count", "12.3B"),
        (999.9e6, "count", "1B"),
        (70e6, "parameters", "70M parameters"),
        (1.3e12, "tokens", "1.3T tokens"),
        (3e22, "flops", "3e22 FLOPs"),
        (5.76e23, "count", "5.76e23"),
        (2.5e9, "bytes", "2.5 GB"),
        (12, "bytes", "12 bytes"),
        (950, "count", "950"),
        (1000, "count", "1K"),
        (0.25, "count", "0.25"),
        (0, "count", "0"),
    ],
)
def test_formats_short(number, kind, text):
    assert format_quantity(number, kind) == text


@given(st.floats(min_value=1e-2, max_value=1e30), st.sampled_from(KINDS), st.integers(2, 6))
def test_what_is_shown_can_be_read_back(number, kind, digits):
    shown = format_quantity(number, kind, digits=digits)
    assert parse_quantity(shown, kind) == pytest.approx(number, rel=10.0 ** (1 - digits))


def test_training_flops():
    assert training_flops(70e9, 1.4e12) == 6 * 70e9 * 1.4e12


@given(st.floats(0.01, 20), st.floats(0.5, 12))
def test_loss_units_convert_both_ways(nats, bytes_per_token):
    assert bits_to_nats(nats_to_bits(nats)) == pytest.approx(nats)
    assert nats_per_token(bits_per_byte(nats, bytes_per_token), bytes_per_token) == pytest.approx(nats)


def test_one_bit_per_byte_is_ln2_times_bytes_nats():
    assert bits_per_byte(4 * math.log(2), 4.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("spelling", "unit"),
    [
        ("nats_per_token", "nats/token"),
        ("Nats per Token", "nats/token"),
        ("nats", "nats/token"),
        ("bpb", "bits/byte"),
        ("bits-per-byte", "bits/byte"),
        ("bits / byte", "bits/byte"),
        ("nats/byte", "nats/byte"),
        ("bpt", "bits/token"),
        ("unigram normalized", "unigram-normalised"),
        ("vocabulary-insensitive", "unigram-normalised"),
        *((unit, unit) for unit in LOSS_UNITS),
    ],
)
def test_loss_unit_spellings(spelling, unit):
    assert loss_unit(spelling) == unit


def test_unknown_loss_unit_lists_the_known():
    with pytest.raises(InputError, match="unigram-normalised"):
        loss_unit("perplexity")
