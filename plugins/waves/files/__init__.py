"""Where the waves of a recording go, and how they are put there."""

from plugins.waves.files import paths, publishing
from plugins.waves.files.paths import base_name, targets_in

__all__ = ["base_name", "paths", "publishing", "targets_in"]
