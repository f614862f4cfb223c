"""Figures of the show for Prometheus, and as a table."""
