"""Child processes that answer requests: their start, their time limit, and the protocol."""

from backend.children.pool import (
    ChildDiedError,
    ChildError,
    ChildPool,
    ChildrenClosedError,
    ChildTimeoutError,
    child_command,
)

__all__ = [
    "ChildDiedError",
    "ChildError",
    "ChildPool",
    "ChildTimeoutError",
    "ChildrenClosedError",
    "child_command",
]
