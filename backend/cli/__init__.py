"""The command line."""

from backend.cli.main import app

__all__ = ["app"]
