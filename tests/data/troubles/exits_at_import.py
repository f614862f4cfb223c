"""A plugin that ends the process it is imported by."""

import sys

sys.exit(3)
