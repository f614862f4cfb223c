"""The test signals, and the level of those that nobody has raised."""

from enum import StrEnum

QUIET_DB = -40.0  # a sine of full scale has 0 dB


class Signal(StrEnum):
    """A tone of 30 Hz, a sweep from 8 to 160 Hz, or the channel's number, spoken."""

    BUZZ = "buzz"
    SWEEP = "sweep"
    NUMBER = "number"
