"""The pitch of a voice, by pYIN."""

from plugins.waves.pyin.track import pyin

__all__ = ["pyin"]
