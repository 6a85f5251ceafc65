"""Receives what the program wrote: every packet, or the datagrams to one address."""

from __future__ import annotations

import ctypes
import errno
import math
import os
import select
import threading
import time
import weakref
from collections.abc import Callable
from typing import Optional, Union

from . import _library
from ._addresses import Address, Buffer
from ._errors import Error, TimeoutError, invalid
from ._handles import Handle
from ._packets import Packet
from ._waiting import DEFAULT_TIMEOUT, OWN, Hopeless, Own, Seconds, checked, in_turns

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

# Number of bytes for any packet: a TAP's is at most 65521 bytes and its header, a TUN's 65535, and
# segments for offloading are no longer.
_ROOM = 1 << 17

_local = threading.local()


def _buffer() -> ctypes.Array[ctypes.c_char]:
    """This thread's buffer for one packet."""
    buffer: Optional[ctypes.Array[ctypes.c_char]] = getattr(_local, "buffer", None)
    if buffer is None:
        buffer = _local.buffer = ctypes.create_string_buffer(_ROOM)
    return buffer


class Subscriber:
    """Reads every packet that the program writes, from the oldest that is kept, with a position
    of its own."""

    def __init__(self, interface: Handle, tap: bool, hopeless: Optional[Hopeless] = None) -> None:
        with interface as pointer:
            made = _library.pointer("memtun_subscriber_open", pointer)
        self._handle = Handle(made, "memtun_subscriber_close", "the subscriber")
        self._tap = tap
        self._hopeless = hopeless

    def recv(self, *, timeout: Seconds = DEFAULT_TIMEOUT) -> Packet:
        """The next packet. With a timeout of 0 every packet is seen whose write was complete
        before the call.

        :raises TimeoutError: no packet came in time
        :raises EndedError: no program is left that could write one
        :raises PacketsLostError: the program wrote more than is kept; the next call goes on in
            the middle of that
        :raises GoneError: the interface is gone and all that the program wrote to it has been
            received
        """
        ethertype, time_ns = ctypes.c_uint16(), ctypes.c_uint64()
        buffer = _buffer()
        with self._handle as pointer:
            length = in_turns(
                lambda ms: _library.call(
                    "memtun_subscriber_recv",
                    *(pointer, buffer, _ROOM, ctypes.byref(ethertype), ctypes.byref(time_ns), ms),
                ),
                timeout,
                hopeless=self._hopeless,
            )
        data = ctypes.string_at(buffer, min(length, _ROOM))
        return Packet(data, ethertype.value, time_ns.value, self._tap)

    def close(self) -> None:
        """Closes the subscriber."""
        self._handle.close()

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


Datagram = tuple[bytes, Address]


class _Cursor:
    """A receiver of the C interface."""

    def __init__(self, interface: Handle, host: Optional[bytes], port: int) -> None:
        with interface as pointer:
            made = _library.pointer("memtun_receiver_open", pointer, host, port)
        self.handle = Handle(made, "memtun_receiver_close", "the receiver")

    def recv(self, ms: int) -> Datagram:
        source = Buffer()
        buffer = _buffer()
        with self.handle as pointer:
            length = _library.call(
                "memtun_receiver_recv",
                *(pointer, buffer, _ROOM, source.host, source.room, source.port_reference, ms),
            )
        return ctypes.string_at(buffer, length), source.address()


class _Readiness:
    """A descriptor that is readable exactly while there is something to receive, for select,
    poll and asyncio.

    One datagram is taken ahead of the caller that receives. A thread waits at a position of its
    own for the next one and then looks, so that a ``recv`` never misses what was written before
    it."""

    def __init__(self, cursor: _Cursor, waiting: _Cursor) -> None:
        self._cursor = cursor
        self._waiting = waiting
        self._ahead: Optional[Datagram] = None
        # The sentence is kept and not the exception, whose frames hold the receiver.
        self._in_vain: Optional[str] = None
        self._end: Optional[Error] = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.fd, self._writer = os.pipe()
        os.set_blocking(self.fd, False)
        self._look()
        threading.Thread(target=self._watch, name="memtun receiver", daemon=True).start()

    def _look(self) -> None:
        """Takes a datagram ahead if there is none. The caller holds the lock, or is the only one
        there is."""
        if self._ahead is None and self._end is None:
            try:
                self._ahead = self._cursor.recv(0)
            except TimeoutError as e:
                self._in_vain = e.strerror
                return
            except Error as e:
                self._end = e
            os.write(self._writer, b"!")

    def _watch(self) -> None:
        while not self._stopped.is_set():
            try:
                self._waiting.recv(100)
            except TimeoutError:
                continue
            except Error as e:
                if e.errno != errno.ENOBUFS:
                    self._stopped.wait(0.05)
            with self._lock:
                if not self._stopped.is_set():
                    self._look()
                ended = self._end is not None and self._end.errno != errno.ENOBUFS
            if ended:
                break
        self._waiting.handle.close()

    def recv(self) -> Datagram:
        """The datagram that was taken ahead; TimeoutError when there is none."""
        with self._lock:
            if self._stopped.is_set():
                raise Error(errno.EBADF, "the receiver is closed")
            self._look()
            datagram, end = self._ahead, self._end
            if end is not None and end.errno != errno.ENOBUFS:
                # After the end the descriptor stays readable, as a socket's does.
                raise end
            if datagram is None and end is None:
                raise TimeoutError(errno.EAGAIN, self._in_vain or "no datagram in time")
            self._ahead = self._end = None
            os.read(self.fd, 1)
            self._look()
        if datagram is None:
            assert end is not None
            raise end
        return datagram

    def stop(self) -> None:
        with self._lock:
            if not self._stopped.is_set():
                self._stopped.set()
                os.close(self.fd)
                os.close(self._writer)


class Receiver:
    """Receives the datagrams that the program sends to one address, as a bound UDP socket would."""

    def __init__(
        self, interface: Handle, host: Optional[bytes], port: int, hopeless: Optional[Hopeless] = None
    ) -> None:
        self._cursor = _Cursor(interface, host, port)
        self._hopeless = hopeless
        # It begins at the oldest packet that is kept, and so wakes too often rather than too late.
        self._make_waiting: Callable[[], _Cursor] = lambda: _Cursor(interface, host, port)
        self._readiness: Optional[_Readiness] = None
        self._timeout: Seconds = DEFAULT_TIMEOUT
        self._lock = threading.Lock()

    def recvfrom(self, bufsize: int = 65535, *, timeout: Union[Seconds, Own] = OWN) -> Datagram:
        """The payload of the next datagram, cut to ``bufsize`` bytes, and its source address. A
        call that names no timeout has the receiver's own (:meth:`settimeout`). As for a socket,
        fragments and datagrams with a wrong checksum or length do not count; when none comes in
        time, the error says what was passed over.

        :raises TimeoutError: no datagram came in time
        :raises EndedError: no program is left that could write one
        :raises PacketsLostError: the program wrote more than is kept; the next call goes on in
            the middle of that
        :raises GoneError: the interface is gone and all that the program wrote to it has been
            received
        """
        if bufsize < 0:
            invalid(f"bufsize {bufsize}: give 0 or more bytes")
        time = self._timeout if isinstance(timeout, Own) else timeout
        payload, source = in_turns(self._attempt, time, hopeless=self._hopeless)
        return payload[:bufsize], source

    def _attempt(self, ms: int) -> Datagram:
        readiness = self._readiness
        if readiness is None:
            return self._cursor.recv(ms)
        end = time.monotonic() + ms / 1000
        poll = select.poll()
        poll.register(readiness.fd, select.POLLIN)
        while True:
            try:
                return readiness.recv()
            except TimeoutError:
                left = end - time.monotonic()
                if left <= 0:
                    raise
            # The descriptor is readable for other threads as well, and one of them may be quicker;
            # then the rest of the time is waited.
            poll.poll(math.ceil(left * 1000))

    def recv(self, bufsize: int = 65535, *, timeout: Union[Seconds, Own] = OWN) -> bytes:
        """The payload of the next datagram. In everything else this is as :meth:`recvfrom`."""
        return self.recvfrom(bufsize, timeout=timeout)[0]

    def settimeout(self, timeout: Seconds) -> None:
        """Sets how long in seconds calls wait that name no timeout; it is 5 at first. None means
        for ever."""
        self._timeout = checked(timeout)

    def gettimeout(self) -> Seconds:
        """The timeout that :meth:`settimeout` has set."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        """Makes calls wait for ever (True), or not at all (False)."""
        self._timeout = None if flag else 0.0

    def fileno(self) -> int:
        """A descriptor to wait on with select, poll or asyncio's add_reader. It is readable
        while there is something to receive. The caller must not read from it."""
        with self._lock:
            if self._readiness is None:
                if self._cursor.handle.closed:
                    raise Error(errno.EBADF, "the receiver is closed")
                readiness = _Readiness(self._cursor, self._make_waiting())
                weakref.finalize(self, readiness.stop)
                self._readiness = readiness
            return self._readiness.fd

    def close(self) -> None:
        """Closes the receiver."""
        self._cursor.handle.close()
        if self._readiness is not None:
            self._readiness.stop()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
