"""Where the waves of a recording go, and how they are put there."""
