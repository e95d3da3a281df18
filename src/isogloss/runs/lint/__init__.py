"""lint: what in a run table would bend a fit, named by row before anything is fitted.

A check is a function from a Sheet to findings: the next one is a code in `codes` and a function in one of CHECKS.
"""

from isogloss.runs.lint import codes as codes
from isogloss.runs.lint.changes import Fixed as Fixed
from isogloss.runs.lint.checking import CHECKS as CHECKS
from isogloss.runs.lint.checking import lint as lint
from isogloss.runs.lint.finding import CODES as CODES
from isogloss.runs.lint.finding import Code as Code
from isogloss.runs.lint.finding import Finding as Finding
from isogloss.runs.lint.finding import Severity as Severity
from isogloss.runs.lint.fix import fixed as fixed
from isogloss.runs.lint.report import LintReport as LintReport
from isogloss.runs.lint.report import lint_runs as lint_runs
from isogloss.runs.lint.status import FLAGS as FLAGS
from isogloss.runs.lint.writing import check_output as check_output
from isogloss.runs.lint.writing import write_fixed as write_fixed
