"""The commands `waves decompose` and `waves backfill`."""
