"""Many machines: jobs go to others by way of a NATS server with JetStream."""

from plugins.waves.farm.machine import Machine
from plugins.waves.farm.sender import Farm

__all__ = ["Farm", "Machine"]
