"""The verbs from the shell."""

from isogloss.cli.main import main

__all__ = ["main"]
