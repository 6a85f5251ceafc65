"""Errors as exceptions: an errno and a kind for programs, and a sentence for people."""

from __future__ import annotations

import builtins
import enum
import errno
from typing import NoReturn, Optional

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True


class ErrorKind(enum.IntEnum):
    """What sort of thing went wrong. It tells apart what the errno does not: EAGAIN stands both
    for a packet that did not come and for a queue that stayed full. The numbers are those of
    ``memtun_kind`` in memtun.h. More may be added."""

    OTHER = 1
    """It is something else, and the errno says what."""
    TIMEOUT = 2
    """It did not happen in time."""
    ENDED = 3
    """It will not happen: every program that could do it has ended."""
    GONE = 4
    """The interface, or the net, is gone."""
    LOST = 5
    """The reader was overtaken; :attr:`PacketsLostError.lost` says by how many packets."""
    LINK_DOWN = 6
    """The link is down, or has no carrier."""
    FULL = 7
    """The read queue stayed full, or the capturer stayed behind."""
    NOT_ATTACHED = 8
    """No program is attached to the interface."""
    TOO_LARGE = 9
    """The packet is larger than the MTU."""
    DENIED = 10
    """The caller may not do it."""
    INVALID = 11
    """The value can never be right."""
    NOT_FOUND = 12
    """There is no such thing."""

    @classmethod
    def _missing_(cls, value: object) -> Optional[ErrorKind]:
        """Maps a kind that a later library has added to OTHER."""
        return cls.OTHER if isinstance(value, int) else None


class Error(OSError):
    """An error of memtun: ``errno`` is its number, ``kind`` its sort, and ``strerror`` a
    sentence that says what to do about it."""

    kind: ErrorKind = ErrorKind.OTHER
    """What sort of thing went wrong."""
    done: int = 0
    """Of a call that takes many packets: how many were done before the one that the error is
    about."""


class TimeoutError(Error, builtins.TimeoutError, BlockingIOError):
    """Something did not happen in time. A call with a timeout of 0 raises this as well."""

    kind = ErrorKind.TIMEOUT


class EndedError(TimeoutError):
    """Something will not happen, because every program that was started in the net has ended.
    The sentence says how they ended, with the last lines that they wrote. It is raised before
    the time is over."""

    kind = ErrorKind.ENDED


class FullError(TimeoutError):
    """EAGAIN: the read queue stayed full, or the capturer stayed behind, for the whole time."""

    kind = ErrorKind.FULL


class InvalidValueError(Error, ValueError):
    """EINVAL: the value can never be right."""

    kind = ErrorKind.INVALID


class PacketsLostError(Error):
    """ENOBUFS: the program wrote more than is kept before it was received. The next call goes on
    in the middle of what is kept, so that the reader is not overtaken again at once; the
    sentence says with which packet."""

    kind = ErrorKind.LOST

    lost: int = 0
    """Number of packets that this reader has lost."""


class NotPermittedError(Error, PermissionError):
    """EPERM or EACCES: the directory of a net belongs to another user, or others may write to
    it."""

    kind = ErrorKind.DENIED


class GoneError(Error):
    """ENODEV: the interface is gone. ENOENT: the net is."""

    kind = ErrorKind.GONE


_CLASSES: dict[ErrorKind, type[Error]] = {
    made.kind: made
    for made in (
        *(TimeoutError, EndedError, FullError, InvalidValueError, PacketsLostError),
        *(NotPermittedError, GoneError),
    )
}

for _class in (ErrorKind, Error, *_CLASSES.values()):
    # Reports show the name under which people import the class.
    _class.__module__ = "memtun"

# These names were used before all of them ended in Error.
Timeout = TimeoutError
Ended = EndedError
InvalidValue = InvalidValueError
PacketsLost = PacketsLostError
NotPermitted = NotPermittedError
Gone = GoneError


def error(number: int, kind: ErrorKind, sentence: str, lost: int = 0) -> Error:
    """The exception for an error that the library has reported."""
    made = _CLASSES.get(kind, Error)(number, sentence)
    made.kind = kind
    if isinstance(made, PacketsLostError):
        made.lost = lost
    return made


def invalid(sentence: str) -> NoReturn:
    """Raises the error for a value that can never be right."""
    raise InvalidValueError(errno.EINVAL, sentence)
