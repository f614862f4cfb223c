"""Kernels: how they are compiled, kept and called."""

from plugins.waves.jit import cache, loader
from plugins.waves.jit.cache import MODULES
from plugins.waves.jit.loader import inline, kernel

__all__ = ["MODULES", "cache", "inline", "kernel", "loader"]
