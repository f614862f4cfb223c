"""What the tests of a plugin need: the contract as a function, a session to play, a clock."""

from backend.plugins.testing.clock import Clock
from backend.plugins.testing.contract import check_contract
from backend.plugins.testing.holding import held, threads_that_stay
from backend.plugins.testing.session import RecordedSession, recorded_session

__all__ = [
    "Clock",
    "RecordedSession",
    "check_contract",
    "held",
    "recorded_session",
    "threads_that_stay",
]
