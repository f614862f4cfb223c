"""A simulated day of visitors at a server: who comes, what is measured, its report and picture."""

from backend.cli.simulation.day import Day, Measured
from backend.cli.simulation.picture import picture
from backend.cli.simulation.plan import Plan
from backend.cli.simulation.report import report, show

__all__ = ["Day", "Measured", "Plan", "picture", "report", "show"]
