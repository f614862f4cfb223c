"""The child side of the protocol in `pool`, run as a script: `serve.py HANDLER.py`.

`load()` of the handler, if it has one, is called first. `answer(header, payload)` returns both for
the answer; what it raises is reported by its type alone, since a message may quote a visitor.
Neither file is a module of `backend` here: a package would import what its parents import.
"""

import ctypes
import json
import os
import signal
import sys
from typing import Any

# From linux/prctl.h.
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def main() -> None:
    """Answer requests until stdin ends."""
    _detach()
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    answer = _load(sys.argv[1])
    for line in requests:
        header = json.loads(line)
        try:
            reply, payload = answer(header, requests.read(header.pop("n_bytes", 0)))
        except Exception as error:  # noqa: BLE001 - the parent says it
            reply, payload = {"error": type(error).__name__}, b""
        answers.write(json.dumps({**reply, "n_bytes": len(payload)}).encode() + b"\n" + payload)
        answers.flush()


def _load(path: str) -> Any:
    """Return `answer` of the file at `path`, or what reports that it could not be loaded."""
    folder, name = os.path.split(path)
    sys.path.insert(0, folder)
    try:
        handler = __import__(name.removesuffix(".py"))
        sys.path.remove(folder)
        getattr(handler, "load", int)()
    except Exception as error:  # noqa: BLE001 - the parent says it
        reason = f"{type(error).__name__}: {error}"
        return lambda *_: ({"error": reason}, b"")
    return handler.answer


def _detach() -> None:
    """Leave Ctrl-C to the parent; on Linux, die with it and leave no core dump."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.prctl(_PR_SET_DUMPABLE, 0)


if __name__ == "__main__":
    main()
