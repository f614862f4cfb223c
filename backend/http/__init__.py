"""The web server: routes, access, limits, connections."""

from backend.http import problems
from backend.http.plugin_service import service_of
from backend.http.problems import ProblemError, responses

__all__ = ["ProblemError", "problems", "responses", "service_of"]
