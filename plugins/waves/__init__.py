"""Three low-frequency waves from every utterance, made in the background."""
