"""One entry point: `isogloss <verb>`. Errors become one message and an exit code, never a traceback.

Exit codes: 0 done, 1 errors found by lint, 2 bad input, 3 no usable fit or plan, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from isogloss import __version__
from isogloss.cli.comparing import compare
from isogloss.cli.crossover import crossover
from isogloss.cli.design import design
from isogloss.cli.expand import expand
from isogloss.cli.fitting import fit, predict
from isogloss.cli.knowledge import languages, laws
from isogloss.cli.planning import plan
from isogloss.cli.report import report
from isogloss.cli.runs import runs
from isogloss.cli.serve import serve
from isogloss.cli.study import study
from isogloss.cli.transfer import transfer
from isogloss.errors import FitError, InputError, PlanError
from isogloss.stores import mirrored_argument, shown

app = App(
    name="isogloss",
    version=__version__,
    help="Plan multilingual language models from measured scaling laws: size, tokens, languages, epochs.",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for verb in (plan, fit, compare, predict, expand, crossover, design, report, laws, languages):
    app.command(verb)
app.command(runs)
app.command(study)
app.command(transfer)
app.command(serve)


def main(arguments: Sequence[str] | None = None) -> None:
    # Before NumPy is loaded. Plans multiply many small matrices: more threads make that slower, and busy cores much so.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command line."""
    try:
        answer = app(_with_places(arguments), exit_on_error=False, print_error=False, help_on_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        return _say(str(error), 2)
    except InputError as error:
        return _say(str(error), 2)
    except (FitError, PlanError) as error:
        return _say(str(error), 3)
    except KeyboardInterrupt:
        return _say("interrupted; nothing is half-written", 130)
    except BrokenPipeError:
        # The reader of our output (head, less) has closed it: not an error, and nothing more to print.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return answer if type(answer) is int else 0


def _with_places(arguments: Sequence[str]) -> list[str]:
    """Local places for URLs, before anything takes them for paths: pathlib makes s3:/bucket of s3://bucket. What an
    import reads stays as it is: trackers have addresses of their own."""
    importing = list(arguments[:2]) == ["runs", "import"]
    before = ["", *arguments]
    return [
        a
        if importing and not a.startswith("-") and not b.startswith(("-o", "--output", "--map"))
        else mirrored_argument(a)
        for b, a in zip(before, arguments, strict=False)
    ]


def _say(message: str, code: int) -> int:
    print(shown(f"isogloss: {message}"), file=sys.stderr)
    return code
