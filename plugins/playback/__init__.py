"""Plays the waves on the transducers of the dishes, and speech if wanted, from this computer."""
