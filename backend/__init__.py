"""The host of Reflective Resonance: sessions, agents, speech, the event bus."""
