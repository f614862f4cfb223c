"""Sends OSC messages when waves are ready, for Max, Pd, QLab and lighting desks."""
