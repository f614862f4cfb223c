"""The agents that answer a visitor, by language models or rehearsed."""

from backend.agents.agents import Agents
from backend.agents.factory import check_agents, create_agents, key_variables
from backend.agents.models import Candidate, ModelFactory
from backend.agents.outputs import CommentSelection, SpokenResponse
from backend.agents.registry import DEFAULT_PROFILES, AgentProfile, Registry
from backend.agents.states import AgentState, State
from backend.agents.turns import Peer, Received, Said, Slot

__all__ = [
    "DEFAULT_PROFILES",
    "AgentProfile",
    "AgentState",
    "Agents",
    "Candidate",
    "CommentSelection",
    "ModelFactory",
    "Peer",
    "Received",
    "Registry",
    "Said",
    "Slot",
    "SpokenResponse",
    "State",
    "check_agents",
    "create_agents",
    "key_variables",
]
