"""What goes wrong, as exceptions: an errno for programs, a sentence for people."""

from __future__ import annotations

import errno
from typing import NoReturn

# A failed test shows the line of the test that called, and what it was told.
__tracebackhide__ = True


class Error(OSError):
    """An error of memtun: ``errno`` is its number, ``strerror`` the sentence that says what to do about
    it."""


class Timeout(Error, TimeoutError, BlockingIOError):
    """It did not happen in time. A wait of no time at all gives this as well."""


class Ended(Timeout):
    """It will not happen: every program that was started in the net has ended. The sentence says how, with the
    last that they wrote. Raised before the time is over."""


class InvalidValue(Error, ValueError):
    """EINVAL: the value can never be right."""


class PacketsLost(Error):
    """ENOBUFS: the program wrote more than is kept before it was received. The next call goes on in the middle
    of what is kept, so that the reader is not overtaken again at once; the sentence says with which packet."""

    lost: int = 0
    """So many packets are lost to this reader."""


class NotPermitted(Error, PermissionError):
    """EPERM or EACCES: a net's directory is another user's, or open to others."""


class Gone(Error):
    """ENODEV: the interface is gone."""


_CLASSES: dict[int, type[Error]] = {
    errno.EACCES: NotPermitted,
    errno.EAGAIN: Timeout,
    errno.EINVAL: InvalidValue,
    errno.ENOBUFS: PacketsLost,
    errno.ENODEV: Gone,
    errno.EPERM: NotPermitted,
}


for _class in (Error, *Error.__subclasses__(), Ended):
    # As people import it, and as it stands in their reports.
    _class.__module__ = "memtun"


def error(number: int, sentence: str) -> Error:
    """The exception for an error number."""
    return _CLASSES.get(number, Error)(number, sentence)


def invalid(sentence: str) -> NoReturn:
    """Refuses a value."""
    raise InvalidValue(errno.EINVAL, sentence)
