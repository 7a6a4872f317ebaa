"""A time limit for a whole network exchange: socket timeouts apply to single reads, so a slow peer can exceed them."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from types import TracebackType


class Deadline:
    """Shut down the watched connections when the time is over, so that pending reads and writes on them end.

    A connection is watched from its first byte, whatever is layered on it later (TLS). Used as a context manager; ``over``:
    whether the time ran out.
    """

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._watched: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def watch(self, connection: socket.socket) -> socket.socket:
        """Watch a connection and return it; after the end of the time it is shut down at once."""
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
