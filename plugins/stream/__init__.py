"""The stream plugin: the events of a session for any number of readers."""
