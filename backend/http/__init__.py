"""The web server: routes, access, limits, connections."""
