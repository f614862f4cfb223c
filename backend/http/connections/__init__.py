"""Listening sockets, and connections with a time limit for every state."""

from backend.http.connections.connections import Connections
from backend.http.connections.exchanges import Exchanges
from backend.http.connections.listening import WAITING_CONNECTIONS, listening

__all__ = ["WAITING_CONNECTIONS", "Connections", "Exchanges", "listening"]
