import polars as pl
import pytest

from isogloss.runs import Finding, lint, read_runs

GOOD = {
    "run": [f"r{i}" for i in range(9)],
    "N": [1e8, 1e8, 1e8, 2e8, 2e8, 2e8, 4e8, 4e8, 4e8],
    "D": [1e9, 2e9, 4e9] * 3,
    "loss": [3.3, 3.1, 3.0, 3.1, 2.9, 2.8, 3.0, 2.8, 2.6],
}


def findings(**changes) -> dict[str, Finding]:
    found = lint(read_runs(pl.DataFrame(GOOD | changes)))
    assert len({f.code for f in found}) == len(found)
    return {f.code: f for f in found}


def replaced(name: str, index: int, value: float) -> list:
    return [value if i == index else v for i, v in enumerate(GOOD[name])]


def test_nothing_to_say_about_a_good_table():
    assert findings() == {}


def test_duplicates():
    runs = [*GOOD["run"][:8], "r7"]
    D = [*GOOD["D"][:8], GOOD["D"][7]]
    same = findings(run=runs, D=D, loss=replaced("loss", 8, 2.8))
    assert same["duplicate"].rows == (8, 9)
    assert same["duplicate"].severity == "error"
    other = findings(run=runs, D=D)
    assert other["conflicting-duplicate"].rows == (8, 9)
    assert "duplicate" not in other
    assert findings(run=runs) == {}


def test_checkpoints_on_two_evaluation_sets_are_no_duplicates():
    found = findings(run=["r"] * 9, N=[1e8] * 9, D=[1e9] * 9, eval_set=list("abcdefghi"))
    assert "duplicate" not in found
    assert "conflicting-duplicate" not in found


def test_compute_that_does_not_fit():
    C = [6 * n * d for n, d in zip(GOOD["N"], GOOD["D"], strict=True)]
    assert findings(C=[1.4 * c for c in C]) == {}
    found = findings(C=[2 * c if i == 4 else c for i, c in enumerate(C)])
    assert found["flops-mismatch"].rows == (5,)
    assert "up to 2" in found["flops-mismatch"].message


def test_compute_that_counts_without_embeddings_is_fine():
    inner = [n / 2 for n in GOOD["N"]]
    C = [6 * n * d for n, d in zip(inner, GOOD["D"], strict=True)]
    assert findings(params_non_embedding=inner, C=C) == {}


def test_swapped_parameters():
    found = findings(params_non_embedding=[n * 2 if i == 1 else n / 2 for i, n in enumerate(GOOD["N"])])
    assert found["params-order"].rows == (2,)


def test_epochs():
    U = [d / 2 for d in GOOD["D"]]
    assert findings(U=U, epochs=[2.0] * 9) == {}
    assert findings(U=U, epochs=[2.0] * 8 + [2.1])["epochs-mismatch"].rows == (9,)
    partial = findings(U=[2e9] * 9)["partial-epoch"]
    assert partial.severity == "info"
    assert partial.rows == (1, 4, 7)


@pytest.mark.parametrize("column", ["use", "keep", "in_published_fit"])
def test_flags(column):
    found = findings(**{column: [1, 0, 1, 1, 0, 1, 1, 1, 1]})["flagged"]
    assert found.rows == (2, 5)
    assert found.message == f"2 rows with {column}=0."
    assert f"--where {column}=1" in found.cure
    assert findings(**{column: [True] * 8 + [False]})["flagged"].rows == (9,)


def test_mixed_columns():
    found = findings(lr_phase=["stable"] * 8 + ["decay"], tokenizer=list("ababababa"), eval_set=["x"] * 9)
    assert set(found) == {"mixed-lr-phase", "mixed-tokenizer"}
    assert "lr_phase=stable" in found["mixed-lr-phase"].cure


def test_loss_far_above_larger_runs():
    assert findings(loss=replaced("loss", 0, 7.0))["high-loss"].rows == (1,)
    # The largest runs have too few peers to be judged by.
    assert findings(loss=replaced("loss", 8, 7.0)) == {}


def test_losses_of_two_targets_are_not_compared():
    small = {name: values[:1] for name, values in GOOD.items()}
    frame = pl.concat(
        [pl.DataFrame(GOOD | {"lang": ["de"] * 9}), pl.DataFrame(small | {"lang": ["fr"], "loss": [9.0]})]
    )
    assert lint(read_runs(frame)) == ()


def test_tables_that_cannot_tell():
    assert set(findings(N=[1e8] * 9)) == {"one-N"}
    assert set(findings(D=[1e9] * 9)) == {"one-D"}
    few = pl.DataFrame({name: values[:7] for name, values in GOOD.items()})
    assert [f.code for f in lint(read_runs(few))] == ["few-rows"]


def test_rows_are_those_of_the_file_and_errors_come_first():
    frame = pl.DataFrame(GOOD | {"use": [0] + [1] * 8, "lr_phase": ["a"] * 5 + ["b"] * 4})
    frame = pl.concat([frame, frame.tail(1)])
    found = lint(read_runs(frame, where="use=1"))
    assert [f.severity for f in found] == ["error", "warning"]
    assert found[0].rows == (9, 10)


def test_a_table_of_losses_only():
    assert [f.code for f in lint(read_runs(pl.DataFrame({"loss": [1.0] * 8})))] == []
