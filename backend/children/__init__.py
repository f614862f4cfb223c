"""Child processes that answer requests: their start, their time limit, and the protocol."""

from backend.children.pool import (
    ChildDiedError,
    ChildError,
    ChildPool,
    ChildTimeoutError,
    child_command,
)

__all__ = [
    "ChildDiedError",
    "ChildError",
    "ChildPool",
    "ChildTimeoutError",
    "child_command",
]
