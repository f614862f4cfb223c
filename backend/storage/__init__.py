"""Files below the artifacts root: names, atomic writes, the lock, leases, WAV headers."""
