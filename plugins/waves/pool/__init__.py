"""The pool: jobs wait, workers do them, whatever happens to a worker."""
