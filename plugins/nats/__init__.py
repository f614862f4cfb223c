"""Publishes signals to a NATS server, for subscribers on other machines."""
