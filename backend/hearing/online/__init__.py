"""Transcripts from services on the network."""

from backend.hearing.online.engine import RemoteEngine

__all__ = ["RemoteEngine"]
