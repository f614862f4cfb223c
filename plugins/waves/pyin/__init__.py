"""The pitch of a voice, by pYIN."""
