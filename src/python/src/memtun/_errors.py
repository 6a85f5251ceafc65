"""What goes wrong, as exceptions: an errno and a kind for programs, a sentence for people."""

from __future__ import annotations

import builtins
import enum
import errno
from typing import NoReturn, Optional

# A failed test shows the line of the test that called, and what it was told.
__tracebackhide__ = True


class ErrorKind(enum.IntEnum):
    """What sort of thing went wrong, where the errno leaves it open: EAGAIN is that of a packet that did not come
    and of a queue that stayed full. The numbers are those of ``memtun_kind`` in memtun.h. More may be added."""

    OTHER = 1
    """What the errno says."""
    TIMEOUT = 2
    """It did not happen in time."""
    ENDED = 3
    """It will not happen: every program that could do it has ended."""
    GONE = 4
    """The interface, or the net, is gone."""
    LOST = 5
    """The reader was overtaken: :attr:`PacketsLostError.lost`."""
    LINK_DOWN = 6
    """The link is down."""
    FULL = 7
    """The read queue stayed full, or whoever captures stayed behind."""
    NOT_ATTACHED = 8
    """No program is attached to the interface."""
    TOO_LARGE = 9
    """The packet is larger than the mtu."""
    DENIED = 10
    """The caller may not do it."""
    INVALID = 11
    """The value can never be right."""
    NOT_FOUND = 12
    """There is no such thing."""

    @classmethod
    def _missing_(cls, value: object) -> Optional[ErrorKind]:
        """One that a later library has added."""
        return cls.OTHER if isinstance(value, int) else None


class Error(OSError):
    """An error of memtun: ``errno`` is its number, ``kind`` its sort, ``strerror`` the sentence that says what to
    do about it."""

    kind: ErrorKind = ErrorKind.OTHER
    """What sort of thing went wrong."""


class TimeoutError(Error, builtins.TimeoutError, BlockingIOError):
    """It did not happen in time. A wait of no time at all gives this as well."""

    kind = ErrorKind.TIMEOUT


class EndedError(TimeoutError):
    """It will not happen: every program that was started in the net has ended. The sentence says how, with the
    last that they wrote. Raised before the time is over."""

    kind = ErrorKind.ENDED


class FullError(TimeoutError):
    """EAGAIN: the read queue stayed full, or whoever captures stayed behind, for the whole time."""

    kind = ErrorKind.FULL


class InvalidValueError(Error, ValueError):
    """EINVAL: the value can never be right."""

    kind = ErrorKind.INVALID


class PacketsLostError(Error):
    """ENOBUFS: the program wrote more than is kept before it was received. The next call goes on in the middle
    of what is kept, so that the reader is not overtaken again at once; the sentence says with which packet."""

    kind = ErrorKind.LOST

    lost: int = 0
    """So many packets are lost to this reader."""


class NotPermittedError(Error, PermissionError):
    """EPERM or EACCES: a net's directory is another user's, or open to others."""

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
    # As people import it, and as it stands in their reports.
    _class.__module__ = "memtun"

# The names that these had before all of them ended in Error.
Timeout = TimeoutError
Ended = EndedError
InvalidValue = InvalidValueError
PacketsLost = PacketsLostError
NotPermitted = NotPermittedError
Gone = GoneError


def error(number: int, kind: ErrorKind, sentence: str, lost: int = 0) -> Error:
    """The exception for what the library says of an error."""
    made = _CLASSES.get(kind, Error)(number, sentence)
    made.kind = kind
    if isinstance(made, PacketsLostError):
        made.lost = lost
    return made


def invalid(sentence: str) -> NoReturn:
    """Refuses a value."""
    raise InvalidValueError(errno.EINVAL, sentence)
