"""The waves told over OSC, for Max, Pd, QLab and lighting desks."""
