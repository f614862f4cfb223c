"""The processes that make waves, seen from outside."""

from contextlib import suppress

import psutil


def workers_of(server: psutil.Process) -> list[psutil.Process]:
    """Return the worker processes of a server; what ends at this very moment is none."""
    found = []
    for child in server.children(recursive=True):
        with suppress(psutil.Error):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found
