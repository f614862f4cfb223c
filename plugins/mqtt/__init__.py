"""Tells an MQTT broker how the installation is and what happens in it."""
