"""Standard output and error, also where one was closed, goes away or has few letters."""

import os
import sys
from typing import TextIO


def prepare_streams() -> None:
    """Let nothing that is printed fail for its letters, or for a stream that was closed before."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, _nowhere(descriptor))
        getattr(sys, name).reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Let what is still written to standard output go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _nowhere(least: int) -> TextIO:
    """Return a stream in the place of one that was closed before the start of the process.

    It takes the descriptor, for good and for child processes too: what libraries print there must
    not get into a file that would be opened next.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < least:
        pass  # an earlier one was closed, too
    os.set_inheritable(descriptor, True)
    return open(descriptor, "w", encoding="utf-8")  # noqa: PTH123 - a descriptor has no path
