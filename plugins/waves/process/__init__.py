"""One worker process: the parent's end and the child's end."""
