"""The work on utterances: live, found later, and recorded."""
