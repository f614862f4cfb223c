"""Standard output and error that never raise: closed, broken, or with a small character set."""

import os
import sys
from typing import TextIO


def prepare_streams() -> None:
    """Escape characters that a stream cannot encode, and replace a stream that was closed."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, _nowhere(descriptor))
        getattr(sys, name).reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Discard what is written to standard output from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _nowhere(least: int) -> TextIO:
    """Return a stream to replace one that was closed before the process started.

    It occupies the descriptor, in child processes too: otherwise the next file that is opened gets
    it, and with it what libraries print.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < least:
        pass  # an earlier one was closed, too
    os.set_inheritable(descriptor, True)
    return open(descriptor, "w", encoding="utf-8")  # noqa: PTH123 - a descriptor has no path
