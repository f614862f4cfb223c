"""Who answers a visitor: the registry, the prompts, the model client, the offline rehearsal."""

from backend.agents.agents import Agents
from backend.agents.models import ModelFactory
from backend.agents.outputs import CommentSelection, SpokenResponse
from backend.agents.registry import DEFAULT_PROFILES, AgentProfile, Registry
from backend.agents.turns import Peer, Received, Slot

__all__ = [
    "DEFAULT_PROFILES",
    "AgentProfile",
    "Agents",
    "CommentSelection",
    "ModelFactory",
    "Peer",
    "Received",
    "Registry",
    "Slot",
    "SpokenResponse",
]
