"""The decoder of recordings."""

from backend.hearing.decoder.decoder import MAX_REQUESTS, Decoded, Decoder

__all__ = ["MAX_REQUESTS", "Decoded", "Decoder"]
