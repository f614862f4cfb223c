"""Fuzzing: `uv run --group fuzz python -m tests.fuzz wav --seconds 600`."""
