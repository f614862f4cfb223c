"""Sockets to listen on, and connections with a limit for every silence."""

from backend.http.connections.connections import Connections
from backend.http.connections.listening import WAITING_CONNECTIONS, listening

__all__ = ["WAITING_CONNECTIONS", "Connections", "listening"]
