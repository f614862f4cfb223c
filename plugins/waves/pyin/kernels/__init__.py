"""The compiled loops of pYIN."""

from plugins.waves.pyin.kernels import candidates, difference
from plugins.waves.pyin.kernels.backtrack import backtrack
from plugins.waves.pyin.kernels.search import GROUP, LANES, forward

__all__ = ["GROUP", "LANES", "backtrack", "candidates", "difference", "forward"]
