"""Messages from the process of a marked test to the one that started it, over a FIFO that both reach by its
name: what the test closes or forks changes nothing about it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pickle
import select
import struct
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Optional

_HEAD = struct.Struct("!I")

# Where a descriptor is in nobody's way.
_HIGH = 300

Message = tuple[Any, ...]


def high(fd: int) -> int:
    """Moves a descriptor up, closed on exec."""
    try:
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:
        os.set_inheritable(fd, False)
        return fd
    os.close(fd)
    return moved


# How often whoever waits looks whether the other end is still there.
_LOOK = 1.0


class _End:
    """A FIFO that is opened again when the test has closed it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        # For both, too: so that there is no end before there is a process.
        self._fd = high(os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        self._inode = os.fstat(self._fd).st_ino

    def fd(self) -> int:
        """Its descriptor."""
        try:
            if os.fstat(self._fd).st_ino != self._inode:
                raise OSError(errno.EBADF, "somebody else's by now")
        except OSError:
            self._open()
        return self._fd


class Sender:
    """The test's end."""

    def __init__(self, messages: str, orders: str) -> None:
        self._messages, self._orders = _End(messages), _End(orders)
        self._pid, self._parent = os.getpid(), os.getppid()
        # Threads log. A handler of signals can do so in the middle of a message of its own thread.
        self._sends = threading.RLock()

    def send(self, *message: Any) -> None:
        """Sends it. A copy of the process that the test has forked, and that goes on as if it were the test,
        has nothing to say."""
        if os.getpid() != self._pid:
            return
        try:
            answer = pickle.dumps(message)
        except Exception:
            # A user property, or an exception, which can be anything.
            answer = pickle.dumps(_plain(message))
        data = _HEAD.pack(len(answer)) + answer
        with self._sends:
            while data:
                fd = self._messages.fd()
                try:
                    data = data[os.write(fd, data) :]
                except BlockingIOError:
                    self._sleep(fd, select.POLLOUT)

    def wait(self) -> None:
        """Waits until the last message has been dealt with."""
        while os.getpid() == self._pid:
            fd = self._orders.fd()
            with contextlib.suppress(BlockingIOError):
                os.read(fd, 1)
                return
            self._sleep(fd, select.POLLIN)

    def _sleep(self, fd: int, event: int) -> None:
        poll = select.poll()
        poll.register(fd, event)
        poll.poll(_LOOK * 1000)
        if os.getppid() != self._parent:
            raise SystemExit("the process that started this one is gone")


def _plain(value: Any) -> Any:
    """What can be sent of it."""
    if isinstance(value, (tuple, list)):
        return type(value)(_plain(v) for v in value)
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items()}
    return value if value is None or isinstance(value, (str, bytes, int, float)) else repr(value)


class Receiver:
    """The other end."""

    def __init__(self, messages: Path, orders: Path) -> None:
        os.mkfifo(messages, 0o600)
        os.mkfifo(orders, 0o600)
        # For both: so that there is no end before there is a process.
        self._fd = os.open(messages, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._orders = os.open(orders, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._data = bytearray()
        self._messages: deque[Message] = deque()

    def receive(self, pid: int, timeout: Optional[float]) -> Optional[Message]:
        """The next message. None when there is none and the time is over, or the process of this number, a
        child, has something to be waited for."""
        end = None if timeout is None else time.monotonic() + timeout
        with contextlib.ExitStack() as opened:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            # Without one the end of the process is seen in turns.
            turn = 0.05
            with contextlib.suppress(OSError, AttributeError):
                process = os.pidfd_open(pid)
                opened.callback(os.close, process)
                poll.register(process, select.POLLIN)
                turn = 60.0
            while not self._look():
                left = turn if end is None else min(turn, end - time.monotonic())
                ready = [fd for fd, _ in poll.poll(max(0.0, left) * 1000)]
                if self._fd not in ready and (ready or left < turn or turn < 1):
                    self._look()
                    break
        return self._messages.popleft() if self._messages else None

    def _look(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._data += os.read(self._fd, 1 << 16)
        # The last one is cut where the process was killed while it wrote.
        while len(self._data) >= _HEAD.size:
            end = _HEAD.size + _HEAD.unpack_from(self._data)[0]
            if len(self._data) < end:
                break
            self._messages.append(pickle.loads(self._data[_HEAD.size : end]))
            del self._data[:end]
        return bool(self._messages)

    def go_on(self) -> None:
        """Lets the process go on."""
        os.write(self._orders, b"!")

    def close(self) -> None:
        """Ends it."""
        os.close(self._fd)
        os.close(self._orders)
