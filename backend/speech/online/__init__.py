"""Voices of services on the network."""
