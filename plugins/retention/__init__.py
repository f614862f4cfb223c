"""The retention plugin: old speech and waves go, within the limits that are set."""
