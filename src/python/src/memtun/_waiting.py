"""Waiting in the library in short turns, so that Python gets to see signals such as Ctrl-C in between."""

from __future__ import annotations

import ctypes
import enum
import math
import time
from collections.abc import Callable
from typing import Optional, TypeVar

from . import _library
from ._errors import Error, GoneError, TimeoutError, invalid

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

T = TypeVar("T")

DEFAULT_TIMEOUT = 5.0
"""How long in seconds a call waits that names no timeout: MEMTUN_TIMEOUT_DEFAULT of memtun.h."""

Seconds = Optional[float]
"""A timeout in seconds; None means for ever, and 0 not at all."""


Hopeless = Callable[[Error], Optional[Error]]
"""Gives another error for one, when the programs that could end a wait have ended themselves."""


class Own(enum.Enum):
    """The timeout of a call that names none: not for ever, which is None."""

    OWN = "the receiver's own"

    def __repr__(self) -> str:
        return f"<{self.value}>"


OWN = Own.OWN


_TURN = 0.1

MOMENT = ctypes.c_int.from_param(1)
"""Milliseconds that a first turn lasts, for calls whose time is not shorter (see :func:`may_wait`)."""


def may_wait(timeout: Seconds) -> bool:
    """May a call with this timeout begin with a turn of :data:`MOMENT`?"""
    if timeout is DEFAULT_TIMEOUT:
        return True
    seconds = checked(timeout)
    return seconds is None or seconds >= 0.001


_LONGEST = 365 * 86400.0


def checked(timeout: Seconds) -> Seconds:
    """Refuses a value that is no timeout; a very long one means for ever."""
    if timeout is None:
        return None
    if isinstance(timeout, (str, bytes)) or not (hasattr(timeout, "__float__") or hasattr(timeout, "__index__")):
        raise TypeError(f"timeout must be a number of seconds or None, not {type(timeout).__name__}")
    seconds = float(timeout)
    if math.isnan(seconds) or seconds < 0:
        invalid(f"timeout {timeout}: give seconds from 0 on, or None to wait for ever")
    return None if seconds > _LONGEST else seconds


def in_turns(
    attempt: Callable[[int], T],
    timeout: Seconds,
    last: Optional[Callable[[int], T]] = None,
    hopeless: Optional[Hopeless] = None,
    first: int = 0,
) -> T:
    """Calls ``attempt`` with milliseconds to wait until it does not time out or the time is
    over. The turn that ends with the time is made with ``last``, if there is one. Between turns
    ``hopeless`` may raise the error that nobody is left who could end the wait. ``first`` is the
    answer of a first turn that the caller has just made, a negative errno."""
    timeout = checked(timeout)
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        left = _TURN if end is None else max(0.0, end - time.monotonic())
        ends = end is not None and left <= _TURN
        call = last if ends and last is not None else attempt
        made, first = first, 0
        try:
            if made:
                _library.fail(-made)
            return call(math.ceil(min(left, _TURN) * 1000))
        except TimeoutError as e:
            if made:
                continue
            if ends:
                raise
            error = hopeless(e) if hopeless is not None else None
        except GoneError as e:
            raise (hopeless(e) if hopeless is not None else None) or e from None
        if error is not None:
            try:
                # A program that has ended may have done it just before its end.
                return attempt(0)
            except TimeoutError:
                raise error from None
