"""A limit for a whole conversation over the network: timeouts of single answers do not hold one that drips."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from types import TracebackType


class Deadline:
    """Shuts the watched connections when the time is over, so that whoever reads or writes sees them end.

    A connection is watched from its first byte, whatever is laid over it later (TLS). Used as a context; ``over`` says whether
    the time ran out in it.
    """

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._watched: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def watch(self, connection: socket.socket) -> socket.socket:
        """Watch a connection, and return it. One that comes after the end is shut at once."""
        with self._lock:
            self._watched.append(socket.socket(fileno=os.dup(connection.fileno())))
            over = self.over
        if over:
            self._end()
        return connection

    def _end(self) -> None:
        with self._lock:
            self.over = True
            for connection in self._watched:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._timer.cancel()
        with self._lock:
            for connection in self._watched:
                connection.close()
            self._watched.clear()
