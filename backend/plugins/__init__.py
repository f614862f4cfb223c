"""The plugin contract: what a plugin is, how it is found, started and stopped."""
