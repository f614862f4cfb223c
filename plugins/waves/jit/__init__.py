"""Kernels: how they are compiled, kept and called."""

from plugins.waves.jit import cache, store
from plugins.waves.jit.cache import MODULES
from plugins.waves.jit.store import inline, kernel

__all__ = ["MODULES", "cache", "inline", "kernel", "store"]
