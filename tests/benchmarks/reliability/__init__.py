"""The figures of reliability: what faults, load and bad input cost, one module for each subject."""
