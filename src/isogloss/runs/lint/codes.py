"""Every code that a finding may have, with its severity and cure. docs/lint.md is this list.

Errors: reading refuses the table, or a number in it is certainly wrong. Warnings: a fit would be made, and may be bent.
"""

from __future__ import annotations

from isogloss.runs.lint.finding import code

# --- which rows are runs that may be fitted -------------------------------------------------------------------
GHOST = code(
    "ghost",
    "error",
    "A run that is listed and never ran: no loss, no tokens. Only a warning where its status says so.",
    "Remove it, or import it again once it has run.",
    "dropped",
)
UNFINISHED = code(
    "unfinished",
    "warning",
    "A run that is running, killed or failed, or that stopped before its planned steps or tokens.",
    "Let it finish, or give it the status killed so that it is left out.",
)
DIVERGED = code("diverged", "warning", "A run whose status is diverged.", "Reading leaves it out.", "dropped")
UNKNOWN_STATUS = code(
    "unknown-status",
    "info",
    "A status that isogloss does not know: its rows are kept.",
    "Write finished, running, diverged, killed or ghost.",
)
FLAGGED = code(
    "flagged", "warning", "Rows that a column such as use or in_fit excludes.", "Leave them out with --where use=1."
)
NO_RUN_ID = code(
    "no-run-id",
    "warning",
    "Rows without a run_id in a table that has the column.",
    "Name the run: rows of one run are drawn together for intervals.",
)
DUPLICATE = code(
    "duplicate",
    "error",
    "Rows with the run, target, point, evaluation set and loss of another.",
    "Remove the copies: they count double.",
    "dropped but for the first, where whole rows are equal",
)
CONFLICTING = code(
    "conflicting-duplicate",
    "error",
    "Rows for one run, target, point and evaluation set with different losses.",
    "Keep one (after a resume the later), or tell them apart: a run_id per rerun, a column eval_set for two texts.",
)
COPIED_RUN = code(
    "copied-run",
    "warning",
    "Losses of five digits or more that are equal in runs of other names, at the same size and tokens.",
    "One run under two names? Keep one: two count double.",
)
RUN_CONFLICT = code(
    "run-conflict",
    "error",
    "One run_id with two sizes, vocabularies or tokenizers.",
    "Two runs under one name: give each its own.",
)

# --- cells ------------------------------------------------------------------------------------------------------
UNREADABLE = code(
    "unreadable",
    "error",
    "A cell that is not the number that belongs there.",
    "Correct or empty the cell; decimals have a point.",
)
OUT_OF_RANGE = code(
    "out-of-range",
    "error",
    "A number that cannot be: a size, count or loss of zero or below, or infinite.",
    "Correct it.",
)
ODD_SCALE = code(
    "odd-scale",
    "error",
    "N or D below 10,000 in a table of millions: written in millions or billions.",
    "Write plain counts, or 70M and 1.3B.",
)
ZERO_TOKENS = code(
    "zero-tokens",
    "error",
    "A loss at zero tokens: a model before its first step, or a checkpoint that was not trained further.",
    'Leave them out with --where "tokens>0": no law has a value there.',
    "dropped",
)
MISSING_VALUE = code(
    "missing-value",
    "error",
    "An empty N, D or target in a table that has the column.",
    "Fill the cell.",
    "D filled from steps x batch_tokens",
)
NO_TOKENS = code(
    "no-tokens",
    "warning",
    "No column of tokens, where steps and batch_tokens are known.",
    "Add tokens = steps x batch_tokens.",
    "added",
)
MISSING_FLOPS = code(
    "missing-flops",
    "info",
    "An empty C in a table that has the column.",
    "Nothing to do: a fit takes 6 N D there.",
    "filled with flops_per_token x D, or 6 N D",
)

# --- sizes and compute ------------------------------------------------------------------------------------------
PARAMS_ORDER = code(
    "params-order", "error", "More parameters without embeddings than in total.", "Are the two columns swapped?"
)
PARAMS_MISMATCH = code(
    "params-mismatch",
    "error",
    "N that matches neither count of the layers, widths and vocabulary beside it, by more than 5 %.",
    "Correct N or the architecture; a mixture of experts needs a column experts.",
)
PARAMS_WHICH = code(
    "params-which",
    "warning",
    "A count of parameters that is the other one: total where it says without embeddings, or the reverse.",
    "Put it under params_total or params_non_embedding: --column params_non_embedding=N.",
)
TOKENS_PER_PARAMETER = code(
    "tokens-per-parameter",
    "warning",
    "A run that ends below 0.01 or above a million tokens per parameter.",
    "Are N and D swapped, in millions or billions, or is D in steps or seconds?",
)
FLOPS_MISMATCH = code(
    "flops-mismatch",
    "warning",
    "C off 6 N D, or off flops_per_token x D, by more than 1.5 times.",
    "Check the units of N, D and C, and which parameters and epochs each counts.",
)
TOKENS_MISMATCH = code(
    "tokens-mismatch",
    "warning",
    "D off steps x batch_tokens by more than 5 % and more than two steps.",
    "Is batch_tokens of one device, or without accumulation? Which of the three is wrong?",
)
COUNTER_RESTART = code(
    "counter-restart",
    "error",
    "Tokens that start again from low while steps, or rows, of the run go on.",
    "Add what the run had seen before it was resumed; isogloss runs import does so.",
)
TOKENS_OF_TARGET = code(
    "tokens-of-target",
    "warning",
    "Tokens that differ between the languages of a run as its shares do: those of each language by itself.",
    "Laws want the tokens of all languages together: name this column target_tokens and add tokens.",
)
TARGET_TOKENS = code(
    "target-tokens-mismatch",
    "warning",
    "target_tokens off share x tokens by more than 5 %.",
    "One of the three is wrong, or the mixture changed over time; laws use shares and tokens.",
)
EPOCHS = code(
    "epochs-mismatch",
    "warning",
    "epochs off tokens / unique_tokens by more than 2 %.",
    "One of the three columns is wrong, or rounded; the laws use tokens and unique_tokens.",
)
PARTIAL_EPOCH = code(
    "partial-epoch",
    "info",
    "More unique tokens than tokens: less than one epoch.",
    "Nothing to do if unique_tokens is what was available rather than what was seen.",
)
UNIQUE_MISMATCH = code(
    "unique-mismatch",
    "warning",
    "unique_tokens off the sum of unique:<language> by more than 10 %, where all languages of the mixture have one.",
    "Count both with one tokenizer.",
)

# --- mixtures and names -----------------------------------------------------------------------------------------
SHARES_SUM = code(
    "shares-sum",
    "error",
    "Shares whose sum is off 1 by more than 1 %.",
    "Give every part of the mixture, or an extra share:other.",
    "divided by their sum, where that is within 2 % of 1",
)
SHARES_ROUNDED = code(
    "shares-rounded",
    "info",
    "Shares that sum to 1 within 1 %: reading divides them by their sum.",
    "Nothing to do.",
    "divided by their sum",
)
SHARES_PERCENT = code(
    "shares-percent",
    "error",
    "Shares that sum to 100: percent.",
    "Write fractions.",
    "divided by 100, then by their sum",
)
SHARE_RANGE = code(
    "share-range", "error", "A share below 0 or above 1.", "Correct it; rename columns that are no shares."
)
SHARES_REALISED = code(
    "shares-realised",
    "warning",
    "Shares that are not those trained on: 0.02 or more, and a tenth or more, off realised:<language>.",
    "Fit the realised shares, or find out why the sampler did something else.",
)
MIXTURE_UNREADABLE = code(
    "mixture-unreadable",
    "error",
    "A mixture that is no JSON object of names and fractions, or names a language twice.",
    'Write {"swh_Latn": 0.7, ...}, each language once.',
)
MIXTURE_MISSING = code(
    "mixture-missing",
    "warning",
    "Rows without a mixture beside rows with one.",
    "Fill the shares; for one language write 1.",
)
LANGUAGE_NAMES = code(
    "language-names",
    "info",
    "Languages under other names than their codes.",
    "Nothing to do: reading takes the codes.",
    "codes written",
)
LANGUAGE_UNKNOWN = code(
    "language-unknown",
    "warning",
    "A name of the form of a code, such as swh_Latin, that is no language.",
    "Correct it: isogloss languages lists the codes.",
)
LANGUAGE_TWICE = code("language-twice", "error", "Two columns for one language.", "Put both into one column.")

# --- losses -----------------------------------------------------------------------------------------------------
NAN_LOSS = code(
    "nan-loss",
    "error",
    "A loss that is NaN or infinite.",
    "The run diverged: give it that status, or remove the row.",
    "dropped; a cell of a wide table is emptied",
)
NO_LOSS = code(
    "no-loss", "error", "An empty loss of a run that was trained.", "Evaluate it, or remove the row.", "dropped"
)
LOSS_SPIKE = code(
    "loss-spike",
    "warning",
    "A point of a curve more than 1.2 times the lowest before it, and back later.",
    "Leave the point out, or average over neighbours; look at the gradient norm there.",
)
LOSS_ABOVE_START = code(
    "loss-above-start",
    "error",
    "A curve that ends above its first value: the run diverged.",
    "Give the run the status diverged, or cut it before.",
)
LOSS_RISES = code(
    "loss-rises",
    "warning",
    "A curve that jumps more than 1.2 times above its lowest value and stays up: collapsed, overfitted or forgotten.",
    "Leave the end out, or the run.",
)
HIGH_LOSS = code(
    "high-loss",
    "warning",
    "A loss more than twice the median of runs of at least that size and as many tokens.",
    "Diverged, overfitted or very early in training? Leave such rows out with --where.",
)
LOW_LOSS = code(
    "low-loss",
    "warning",
    "A loss less than 1/1.5 of the lowest of the runs that are at least as large and saw at least as much.",
    "Another unit, another evaluation set, or evaluation text in the training text?",
)
LOSS_ABOVE_UNIFORM = code(
    "loss-above-uniform",
    "warning",
    "A loss above ln(vocab_size) nats per token, or above 12.4 where no vocabulary is given: worse than guessing.",
    "Diverged, a perplexity (its logarithm is the loss), or another unit than it says?",
)
OUTLIERS_UNCHECKED = code(
    "outliers-not-checked",
    "info",
    "Too many rows of one target to search for outliers.",
    "Look at the losses of one target at a time.",
)

# --- comparisons ------------------------------------------------------------------------------------------------
OTHER_UNIT = code(
    "bits-among-nats",
    "warning",
    "Losses 1.44 times above or below what N and D give in all other rows, with nothing between: another unit.",
    "Say the unit of each row in a column unit.",
)
UNIT_UNSAID = code(
    "unit-unsaid",
    "warning",
    "No unit is given, and losses are as low as bits per byte are.",
    "Say it: --unit bits/byte, or nats/token.",
)
MIXED_UNITS = code(
    "mixed-units",
    "error",
    "Losses in more than one unit.",
    'Read one at a time: --where "unit=nats/token".',
    "bits turned into nats, or the reverse, where both are per token or both per byte",
)
UNKNOWN_UNIT = code(
    "unknown-unit",
    "error",
    "An empty unit, or one that is none.",
    "Write nats/token, bits/byte, ...; --unit is for tables without the column.",
)
UNIT_IN_NAME = code(
    "unit-in-name",
    "error",
    "A loss column whose name says bits per byte, and a unit column that says otherwise.",
    "Rename the loss column to loss if the unit column is right.",
)
LR_PHASE_UNKNOWN = code(
    "lr-phase-unknown",
    "warning",
    "An empty lr_phase beside filled ones, or curves without the column.",
    "Say warmup, stable, decay or final: losses before and after the decay are not one law's.",
)
MIXED_LR_PHASE = code(
    "mixed-lr-phase",
    "warning",
    "More than one learning-rate phase for one target.",
    "Compare losses inside one phase: a cooled checkpoint beside one at peak rate fakes an effect.",
)
MIXED_TOKENIZER = code(
    "mixed-tokenizer",
    "warning",
    "More than one tokenizer, or size of vocabulary, for one target.",
    "Tokens of two tokenizers are not one quantity: fit each by itself, or use bits per byte.",
)
MIXED_EVAL_SET = code(
    "mixed-eval-set",
    "warning",
    "More than one evaluation set, or number of documents or bytes, for one target.",
    "Losses on two texts have two floors: fit each by itself.",
)
MIXED_INIT = code(
    "mixed-init",
    "warning",
    "Runs from scratch and from a checkpoint for one target.",
    "A law of one is no law of the other: fit each by itself.",
)
FEW_ROWS = code("few-rows", "warning", "Fewer than 8 rows.", "Add runs, or fix some coefficients from published laws.")
ONE_N = code(
    "one-N", "warning", "All rows have one N: alpha cannot be told from E.", "Add runs with another N, or fix alpha."
)
ONE_D = code(
    "one-D", "warning", "All rows have one D: beta cannot be told from E.", "Add runs with another D, or fix beta."
)
