"""The agents that answer a visitor, by language models or rehearsed."""

from backend.agents.agents import Agents
from backend.agents.factory import check_agents, create_agents, key_variables
from backend.agents.outputs import CommentSelection, SpokenResponse
from backend.agents.registry import AgentProfile, Registry
from backend.agents.states import AgentState, State
from backend.agents.turns import Said, Slot

__all__ = [
    "AgentProfile",
    "AgentState",
    "Agents",
    "CommentSelection",
    "Registry",
    "Said",
    "Slot",
    "SpokenResponse",
    "State",
    "check_agents",
    "create_agents",
    "key_variables",
]
