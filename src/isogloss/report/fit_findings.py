"""What the runs cannot tell, as a card: which coefficients, why, and the runs that would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from isogloss.report.card import Card
from isogloss.report.words import count, listed

if TYPE_CHECKING:
    from isogloss.fitting import Fit

TITLE = "What the runs cannot tell"


def findings_card(fit: Fit) -> Card:
    findings = fit.health.findings
    if not findings:
        return Card("findings", TITLE, "The design of the runs tells every coefficient that was fitted.")
    names = [name for f in findings for name in f.coefficients]
    first = findings[0]
    more = f" {count(len(findings) - 1, 'more finding')} below." if len(findings) > 1 else ""
    table = pl.DataFrame(
        {
            "Coefficients": [listed(f.coefficients, most=9) for f in findings],
            "Finding": [f.what for f in findings],
            "Because": [f.why for f in findings],
            "What would help": [f.cure for f in findings],
        }
    )
    return Card(
        id="findings",
        title=TITLE,
        sentence=f"{first.what[0].upper()}{first.what[1:]}: {first.why}.{more}",
        table=table,
        notes=(
            f"What runs would do for {listed(list(dict.fromkeys(names)), most=9)} is computed from the law's "
            "derivatives at the fit, or at usual values of what "
            "the runs leave open, with errors as large as those of the rows at hand; ± is one standard deviation.",
        ),
    )
