"""The decoder of recordings."""

from backend.hearing.decoder.decoder import CONTAINERS, Decoded, Decoder

__all__ = ["CONTAINERS", "Decoded", "Decoder"]
