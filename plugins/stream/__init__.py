"""The stream plugin: a session's events again, for any number of readers."""
