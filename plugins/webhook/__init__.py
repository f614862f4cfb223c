"""Posts chosen signals as signed JSON to URLs."""
