"""The metrics plugin: figures for Prometheus, and as a table."""
