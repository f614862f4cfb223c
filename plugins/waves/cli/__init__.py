"""The commands `waves decompose`, `backfill` and `water`; they import the pool when they run."""
