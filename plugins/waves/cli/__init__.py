"""The commands `waves decompose` and `waves backfill`; they import the pool when they run."""
