"""Messages from the process of a marked test to the one that started it, over a FIFO that both
reach by its name, so that it does not matter what the test closes or forks."""

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

# Descriptors from this number on are in nobody's way.
_HIGH = 300

Message = tuple[Any, ...]


def high(fd: int) -> int:
    """Moves a descriptor to a high number, with close-on-exec."""
    try:
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:
        os.set_inheritable(fd, False)
        return fd
    os.close(fd)
    return moved


# Time in seconds between the looks of a waiter whether the other end is still there.
_LOOK = 1.0


class _End:
    """One end of a FIFO, which is opened again when the test has closed it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        # It is opened for reading and writing, so that there is no end of file before there is a
        # process.
        self._fd = high(os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        self._inode = os.fstat(self._fd).st_ino

    def fd(self) -> int:
        """The descriptor of the FIFO."""
        try:
            if os.fstat(self._fd).st_ino != self._inode:
                raise OSError(errno.EBADF, "somebody else's by now")
        except OSError:
            self._open()
        return self._fd


class Sender:
    """The end of the test's process."""

    def __init__(self, messages: str, orders: str) -> None:
        self._messages, self._orders = _End(messages), _End(orders)
        self._pid, self._parent = os.getpid(), os.getppid()
        # Threads log, and a signal handler can do so in the middle of a message of its own thread.
        self._sends = threading.RLock()

    def send(self, *message: Any) -> None:
        """Sends a message. A copy of the process that the test has forked, and that goes on as
        if it were the test, sends nothing."""
        if os.getpid() != self._pid:
            return
        try:
            answer = pickle.dumps(message)
        except Exception:
            # The message has a user property or an exception, which can be anything.
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
        """Waits until the other process has dealt with the last message."""
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
    """The part of a value that can be sent."""
    if isinstance(value, (tuple, list)):
        return type(value)(_plain(v) for v in value)
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items()}
    return value if value is None or isinstance(value, (str, bytes, int, float)) else repr(value)


class Receiver:
    """The end of the process that started the test's process."""

    def __init__(self, messages: Path, orders: Path) -> None:
        os.mkfifo(messages, 0o600)
        os.mkfifo(orders, 0o600)
        # It is opened for reading and writing, so that there is no end of file before there is a
        # process.
        self._fd = os.open(messages, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._orders = os.open(orders, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._data = bytearray()
        self._messages: deque[Message] = deque()

    def receive(self, pid: int, timeout: Optional[float]) -> Optional[Message]:
        """The next message. It is None when there is none and the time is over, or when the
        child with this process id has changed its state."""
        end = None if timeout is None else time.monotonic() + timeout
        with contextlib.ExitStack() as opened:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            # Without a pidfd the end of the process is noticed by looking again and again.
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
        # The last message is incomplete if the process was killed while it wrote.
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
        """Closes this end."""
        os.close(self._fd)
        os.close(self._orders)
