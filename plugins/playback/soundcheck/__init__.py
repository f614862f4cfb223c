"""The sound check: test signals for each channel, and how a transducer answers them."""
