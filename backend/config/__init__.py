"""The settings of the host, and where each value came from."""
