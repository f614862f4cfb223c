"""Waves of other kinds than V3: a module for each, found by entry point."""

from plugins.waves.profiles.registry import Profile, find
from plugins.waves.profiles.voice import Voice

__all__ = ["Profile", "Voice", "find"]
