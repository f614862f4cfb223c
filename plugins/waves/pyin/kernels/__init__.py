"""The compiled loops of pYIN."""
