"""Handles of the C interface that are safe against use after their end."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Any, NoReturn, Optional

from . import _library
from ._errors import Error

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True


class Handle:
    """A handle that several threads may use at once. After :meth:`close` the last of them frees
    it.

    It has no lock, which would cost more than what is called. Whoever uses it says so first, in
    ``users``, and then looks at ``value``; whoever closes it takes the value away first and then
    looks whether somebody uses it. The steps of a list are whole for other threads, so one of the
    two sees the other. What is called for each packet does this where it stands, as :meth:`call`
    does it for all others.

    A forked child leaves the handle to its parent, because both share what it stands for."""

    def __init__(self, pointer: int, free: str, what: str) -> None:
        # It is ready to be passed.
        self.value: Optional[Any] = ctypes.c_void_p.from_param(pointer)
        self.users: list[None] = []
        self._pointer = pointer
        self._free = getattr(_library.library(), free)
        self._what = what
        # Whoever takes this out frees the handle.
        self._left = [True]
        self._pid = os.getpid()

    def call(self, function: Callable[..., int], *arguments: object) -> int:
        """Calls a function of :func:`_library.prepared` with the handle and these arguments."""
        self.users.append(None)
        try:
            return function(self.value or self.refuse(), *arguments)
        finally:
            self.users.pop()
            if self.value is None:
                self.free_unused()

    def __enter__(self) -> int:
        self.users.append(None)
        if self.value is None:
            self.__exit__()
            self.refuse()
        return self._pointer

    def __exit__(self, *_: object) -> None:
        self.users.pop()
        if self.value is None:
            self.free_unused()

    @property
    def closed(self) -> bool:
        """Has the handle been closed?"""
        return self.value is None

    def refuse(self) -> NoReturn:
        """Raises the error that the handle is closed."""
        raise Error(errno.EBADF, f"{self._what} is closed")

    def close(self) -> None:
        """Closes the handle. Calls that are under way in other threads are not disturbed."""
        self.value = None
        self.free_unused()

    def free_unused(self) -> None:
        """Frees a handle that has been closed, if nobody uses it and nobody has freed it."""
        if self.users:
            return
        try:
            self._left.pop()
        except IndexError:
            return
        if os.getpid() == self._pid:
            self._free(self._pointer)

    def __del__(self) -> None:
        if getattr(self, "value", None) is not None and hasattr(self, "_pid"):
            self.close()
