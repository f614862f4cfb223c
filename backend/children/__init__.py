"""Child processes that answer requests: their start, their time limit, and the protocol."""

from backend.children.pool import (
    ChildError,
    ChildPool,
    ChildrenClosedError,
    ChildTimeoutError,
    child_command,
)

__all__ = [
    "ChildError",
    "ChildPool",
    "ChildTimeoutError",
    "ChildrenClosedError",
    "child_command",
]
