"""Reads whether a visitor's words are positive, neutral or negative."""
