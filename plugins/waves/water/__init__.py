"""A dish of water in the computer: what a wave does to its surface."""

from plugins.waves.water.dish import LIQUIDS, Dish, G
from plugins.waves.water.motion import motion
from plugins.waves.water.picture import write_animation
from plugins.waves.water.surface import FRAMES, RATE, Response, Surface, respond

__all__ = [
    "FRAMES",
    "LIQUIDS",
    "RATE",
    "Dish",
    "G",
    "Response",
    "Surface",
    "motion",
    "respond",
    "write_animation",
]
