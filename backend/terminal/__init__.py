"""What the commands print with, here and in plugins."""
