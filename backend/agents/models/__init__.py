"""The models of the providers, and the client that asks them."""

from backend.agents.models.candidates import Candidate, ModelFactory
from backend.agents.models.chains import Chains
from backend.agents.models.client import Client
from backend.agents.models.keys import Keys
from backend.agents.models.providers import Providers

__all__ = [
    "Candidate",
    "Chains",
    "Client",
    "Keys",
    "ModelFactory",
    "Providers",
]
