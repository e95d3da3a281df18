"""What the first page needs, loaded while the server and the browser start.

Python runs one thread at a time: what loads while the first page is drawn delays it. So the libraries of its controls
come first, and those of its plan (JAX, SciPy, the laws) when the controls are there, or when nobody has come.
"""

from __future__ import annotations

import sys
import threading

# Seconds after which it is loaded though no page was opened.
PATIENCE = 15.0
# Seconds that a thread runs before another may.
TURN = 0.0005

_ready = threading.Event()


def ready() -> None:
    """A page's controls can be used: the rest may load."""
    _ready.set()


def start() -> None:
    threading.Thread(target=_warm_up, args=(sys.getswitchinterval(),), daemon=True).start()
    # A thread that only waits for its turn to send a file would get it every 5 ms: a page is of a hundred files.
    sys.setswitchinterval(TURN)


def _warm_up(usual: float) -> None:
    from isogloss.web import choices
    from isogloss.web.bases import FIRST, question_of
    from isogloss.web.views import plan  # noqa: F401

    for code in choices.all_codes():
        choices.named(code)
    question_of(FIRST)
    opened = _ready.wait(PATIENCE)
    from altair.utils.schemapi import disable_debug_mode

    # Checking every chart against its schema takes a third of a page's time, and would find mistakes of our own only.
    disable_debug_mode()
    if not opened:
        _first_plan()
    sys.setswitchinterval(usual)


def _first_plan() -> None:
    """Load and compile what the first page's plan needs."""
    from isogloss.errors import InputError, PlanError
    from isogloss.report.plans import plan_cards
    from isogloss.web.bases import FIRST
    from isogloss.web.planned import planned
    from isogloss.web.questions import start, text_of

    try:
        plan_cards(planned(text_of(start(FIRST)), 0))
    except (InputError, PlanError):
        # The page tells it where it matters.
        return
