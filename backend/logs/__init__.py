"""The log: how it is set up, and the thread that writes it."""
