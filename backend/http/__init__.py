"""The web server: what plugins use of it. Start it with `backend.http.server`."""

from backend.http import problems
from backend.http.models import CamelCase, PartHealth
from backend.http.plugin_service import service_of
from backend.http.problems import ProblemError, responses

__all__ = ["CamelCase", "PartHealth", "ProblemError", "problems", "responses", "service_of"]
