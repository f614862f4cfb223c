"""Where the waves of a recording go, and how they are put there."""

from plugins.waves.files import paths, publishing
from plugins.waves.files.paths import SUFFIX, base_name, is_wave, targets_in

__all__ = ["SUFFIX", "base_name", "is_wave", "paths", "publishing", "targets_in"]
