"""The retention plugin: removes speech and waves that are over a limit."""
