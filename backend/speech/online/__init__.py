"""Speech from services on the network."""

from backend.speech.online.client import RemoteEngine
from backend.speech.online.services import ELEVENLABS_URL, OPENAI_URL, elevenlabs, openai

__all__ = ["ELEVENLABS_URL", "OPENAI_URL", "RemoteEngine", "elevenlabs", "openai"]
