"""Kernels: how they are compiled, kept and called."""
