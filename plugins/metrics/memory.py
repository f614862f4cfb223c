"""The memory of the server and of its child processes."""

from contextlib import suppress

import psutil


def resident_bytes() -> dict[str, int]:
    """Return the resident memory of the server and the sum of its children's; call it on a thread.

    Memory that processes share counts for each.
    """
    server = psutil.Process()
    children = 0
    for child in server.children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            children += child.memory_info().rss
    return {"server": server.memory_info().rss, "children": children}
