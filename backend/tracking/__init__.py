"""What becomes of the utterances of a session, and a queue for a plugin's work."""
