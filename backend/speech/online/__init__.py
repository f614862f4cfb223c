"""Speech from services on the network."""

from backend.speech.online.engine import RemoteEngine
from backend.speech.online.requests import REQUESTS

__all__ = ["REQUESTS", "RemoteEngine"]
