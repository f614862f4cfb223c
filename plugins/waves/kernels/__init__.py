"""The loops that are compiled, and how their machine code is kept."""
