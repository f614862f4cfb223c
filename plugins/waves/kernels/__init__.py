"""The loops that are compiled, and how their machine code is kept."""

MODULES = tuple(
    f"{__name__}.{module}"
    for module in ("search", "candidates", "backtrack", "difference", "waves")
)
"""Every module of kernels; what takes longest to compile comes first."""
