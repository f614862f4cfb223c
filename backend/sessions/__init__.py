"""A session's id, its manifest and the events of its stream."""
