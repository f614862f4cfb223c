"""The variables of this process that its children get: those of the system, and no secret."""

import os
import re

_NAMES = (
    "PATH|HOME|TMPDIR|TE?MP|TZ|LANG(UAGE)?|USERPROFILE|(LOCAL)?APPDATA|SYSTEMROOT|WINDIR|COMSPEC|"
    "PATHEXT|NUMBA_CACHE_DIR|(LC|LD|DYLD|XDG|OMP|CUDA|COVERAGE)_.*|PYTHON.*"
)


def inherited() -> dict[str, str]:
    """Return the variables that a child gets."""
    return {k: v for k, v in os.environ.items() if re.fullmatch(_NAMES, k, re.IGNORECASE)}
