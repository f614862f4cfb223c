"""Three waves from a pitch and a loudness: the algorithm V3."""
