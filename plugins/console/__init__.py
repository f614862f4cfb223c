"""The console plugin: the page of the visitor and the page of the artist."""
