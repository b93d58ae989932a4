"""What the app logs in a history."""

import logging

from status_app.errors import UnavailableError


class LogLines(logging.Handler):
    """Keeps each line that the app logs, and apart the exceptions that no service caused: only a bug logs these."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self.bugs: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        self.lines.append(line)
        if record.exc_info and not isinstance(record.exc_info[1], UnavailableError):
            self.bugs.append(line)
