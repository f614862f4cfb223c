"""Three waves from a pitch and a loudness: the algorithm V3."""

from plugins.waves.v3 import reference, synthesis
from plugins.waves.v3.synthesis import HOP_LENGTH, PROCESSING_SR, Synthesis

__all__ = ["HOP_LENGTH", "PROCESSING_SR", "Synthesis", "reference", "synthesis"]
