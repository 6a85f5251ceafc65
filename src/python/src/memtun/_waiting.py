"""Waiting in the library in short turns, so that Python gets to see signals such as Ctrl-C in between."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Optional, TypeVar

from ._errors import Timeout, invalid

T = TypeVar("T")

Seconds = Optional[float]
"""A time to wait; None is for ever, 0 not at all."""

_TURN = 0.1
_LONGEST = 365 * 86400.0


def checked(timeout: Seconds) -> Seconds:
    """Refuses what is no time; very long ones are for ever."""
    if timeout is None:
        return None
    if not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout must be a number of seconds or None, not {type(timeout).__name__}")
    if math.isnan(timeout) or timeout < 0:
        invalid(f"timeout {timeout}: give seconds from 0 on, or None for no limit")
    return None if timeout > _LONGEST else float(timeout)


def in_turns(attempt: Callable[[int], T], timeout: Seconds, turn: float = _TURN) -> T:
    """Calls ``attempt`` with milliseconds to wait until it does not time out or the time is over."""
    timeout = checked(timeout)
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        left = turn if end is None else max(0.0, end - time.monotonic())
        last = end is not None and left <= turn
        try:
            return attempt(math.ceil(min(left, turn) * 1000))
        except Timeout:
            if last:
                raise
