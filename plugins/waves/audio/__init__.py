"""Recordings as samples, and samples as 16-bit WAV files."""
