"""A subscriber of somebody else's: notes every utterance in a file."""
