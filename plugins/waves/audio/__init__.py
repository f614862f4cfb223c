"""Recordings as samples, and samples as 16-bit WAV files."""

from plugins.waves.audio import pcm16, reader
from plugins.waves.audio.resampling import resample

__all__ = ["pcm16", "reader", "resample"]
