"""One worker process: the parent's end and the child's end."""

from plugins.waves.process.worker_main import Note, Report
from plugins.waves.process.worker_process import Task, Worker, WorkerDiedError, WorkerTimeoutError

__all__ = ["Note", "Report", "Task", "Worker", "WorkerDiedError", "WorkerTimeoutError"]
