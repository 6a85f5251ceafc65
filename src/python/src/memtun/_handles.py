"""Handles of the C interface that are safe against use after their end."""

from __future__ import annotations

import errno
import os
import threading

from . import _library
from ._errors import Error

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True


class Handle:
    """A handle that several threads may use at once. After :meth:`close` the last of them frees
    it.

    A forked child leaves the handle to its parent, because both share what it stands for."""

    def __init__(self, pointer: int, free: str, what: str) -> None:
        self._pointer = pointer
        self._free = getattr(_library.library(), free)
        self._what = what
        self._users = 0
        self._closed = False
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def __enter__(self) -> int:
        with self._lock:
            if self._closed:
                raise Error(errno.EBADF, f"{self._what} is closed")
            self._users += 1
        return self._pointer

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            last = self._closed and self._users == 0
        if last:
            self._end()

    @property
    def closed(self) -> bool:
        """Has the handle been closed?"""
        return self._closed

    def close(self) -> None:
        """Closes the handle. Calls that are under way in other threads are not disturbed."""
        with self._lock:
            last = not self._closed and self._users == 0
            self._closed = True
        if last:
            self._end()

    def _end(self) -> None:
        if os.getpid() == self._pid:
            self._free(self._pointer)

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()
