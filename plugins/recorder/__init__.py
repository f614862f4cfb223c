"""The recorder plugin: keeps the signals of each session, and emits them again."""
