"""Receives what the program wrote: every packet, or the datagrams to one address."""

from __future__ import annotations

import ctypes
import errno
import math
import os
import select
import struct
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Optional, Union

from . import _library
from ._addresses import Address, Buffer
from ._errors import Error, TimeoutError, invalid
from ._handles import Handle
from ._packets import Packet
from ._waiting import DEFAULT_TIMEOUT, MOMENT, OWN, Hopeless, Own, Seconds, checked, in_turns, may_wait

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

# Number of bytes for any packet: a TAP's is at most 65521 bytes and its header, a TUN's 65535, and
# segments for offloading are no longer.
_ROOM = 1 << 17

# How many packets are received with one call at most.
_MANY = 1024
# What memtun.h has of each of them: memtun_packet and memtun_datagram.
_PACKET = struct.Struct("@NNQH0N")
_DATAGRAM = struct.Struct("@NNH64s0N")


class _Room:
    """Memory for what is received: the bytes, and what is said about them, with the arguments of
    calls that are ready to be passed."""

    def __init__(self) -> None:
        # A part of either is bytes.
        self.memory: Any = ctypes.create_string_buffer(_ROOM)
        self.records: Any = ctypes.create_string_buffer(_MANY * max(_PACKET.size, _DATAGRAM.size))
        self.ethertype, self.time_ns = ctypes.c_uint16(), ctypes.c_uint64()
        self.source = Buffer()
        where = (ctypes.byref(self.memory), _library.size(_ROOM))
        self.for_packet = (*where, ctypes.byref(self.ethertype), ctypes.byref(self.time_ns))
        self.for_payload = (*where, None, _library.size(0), None)
        source = self.source
        self.for_datagram = (
            *(*where, ctypes.byref(source.host), _library.size(source.room), source.port_reference),
        )
        self.for_many = (*where, ctypes.byref(self.records))


# Rooms that nobody uses. A call takes one out for itself: a signal's handler may receive as well, in
# the middle of a call of the same thread. More than a few are not kept.
_rooms: deque[_Room] = deque(maxlen=8)


def _room() -> _Room:
    try:
        return _rooms.pop()
    except IndexError:
        return _Room()


class Subscriber:
    """Reads every packet that the program writes, from the oldest that is kept, with a position
    of its own."""

    def __init__(self, interface: Handle, tap: bool, hopeless: Optional[Hopeless] = None) -> None:
        with interface as pointer:
            made = _library.pointer("memtun_subscriber_open", pointer)
        self._handle = Handle(made, "memtun_subscriber_close", "the subscriber")
        self._tap = tap
        self._hopeless = hopeless
        self._recv = _library.prepared("memtun_subscriber_recv")
        self._recv_many = _library.prepared("memtun_subscriber_recv_many")

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
        room = _room()
        try:
            length = _received(self._handle, self._recv, timeout, self._hopeless, room.for_packet)
            return Packet(room.memory[:length], room.ethertype.value, room.time_ns.value, self._tap)
        finally:
            _rooms.append(room)

    def recv_many(self, most: int = 64, *, timeout: Seconds = DEFAULT_TIMEOUT) -> list[Packet]:
        """Waits for the next packet, and returns it with those behind it that are there already: up
        to ``most``, and no more than 1,024 packets or 128 KiB. It waits for none but the first. In
        everything else this is as :meth:`recv`; an error behind packets is that of the next call.
        """
        most = _library.number(most, "most", 0, sys.maxsize)
        room = _room()
        try:
            arguments = (*room.for_many, _library.size(min(most, _MANY)))
            count = _received(self._handle, self._recv_many, timeout, self._hopeless, arguments)
            memory, tap = room.memory, self._tap
            return [
                Packet(memory[at : at + length], ethertype, time_ns, tap)
                for at, length, time_ns, ethertype in _PACKET.iter_unpack(room.records[: count * _PACKET.size])
            ]
        finally:
            _rooms.append(room)

    def close(self) -> None:
        """Closes the subscriber."""
        self._handle.close()

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _received(
    handle: Handle,
    function: Callable[..., int],
    timeout: Seconds,
    hopeless: Optional[Hopeless],
    arguments: tuple[object, ...],
) -> int:
    """What a function answers that receives. A first turn that finds something costs little else."""
    first = _first(handle, function, timeout, arguments)
    if first is not None and first >= 0:
        return first
    return _in_turns(handle, function, timeout, hopeless, first or 0, arguments)


def _first(
    handle: Handle, function: Callable[..., int], timeout: Seconds, arguments: tuple[object, ...]
) -> Optional[int]:
    """What a function answers in its first turn; None when the time is too short for one."""
    first: Optional[int] = None
    if timeout is DEFAULT_TIMEOUT or may_wait(timeout):
        handle.users.append(None)
        try:
            first = function(handle.value, *arguments, MOMENT)
        finally:
            handle.users.pop()
            if handle.value is None:
                handle.free_unused()
    return first


def _in_turns(
    handle: Handle,
    function: Callable[..., int],
    timeout: Seconds,
    hopeless: Optional[Hopeless],
    first: int,
    arguments: tuple[object, ...],
) -> int:
    if handle.closed:
        handle.refuse()

    def turn(ms: int) -> int:
        got = handle.call(function, *arguments, ctypes.c_int(ms))
        if got < 0:
            _library.fail(-got)
        return got

    return in_turns(turn, timeout, hopeless=hopeless, first=first)


Datagram = tuple[bytes, Address]


class _Cursor:
    """A receiver of the C interface."""

    def __init__(self, interface: Handle, host: Optional[bytes], port: int) -> None:
        with interface as pointer:
            made = _library.pointer("memtun_receiver_open", pointer, host, port)
        self.handle = Handle(made, "memtun_receiver_close", "the receiver")
        self.function = _library.prepared("memtun_receiver_recv")
        self.function_many = _library.prepared("memtun_receiver_recv_many")

    def recv(self, ms: int) -> Datagram:
        room = _room()
        try:
            length = self.handle.call(self.function, *room.for_datagram, ctypes.c_int(ms))
            if length < 0:
                _library.fail(-length)
            return room.memory[:length], room.source.address()
        finally:
            _rooms.append(room)


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
        first: Optional[int] = None
        if self._readiness is None:
            cursor, room = self._cursor, _room()
            try:
                first = _first(cursor.handle, cursor.function, time, room.for_datagram)
                if first is not None and first >= 0:
                    return room.memory[: min(first, bufsize)], room.source.address()
            finally:
                _rooms.append(room)
            if cursor.handle.closed:
                cursor.handle.refuse()
        # Somebody may ask for the descriptor during the wait.
        payload, source = in_turns(self._attempt, time, hopeless=self._hopeless, first=first or 0)
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
        if self._readiness is not None or bufsize < 0:
            return self.recvfrom(bufsize, timeout=timeout)[0]
        time = self._timeout if timeout is OWN else timeout
        cursor, room = self._cursor, _room()
        try:
            length = _received(cursor.handle, cursor.function, time, self._hopeless, room.for_payload)
            payload: bytes = room.memory[: length if length < bufsize else bufsize]
            return payload
        finally:
            _rooms.append(room)

    def recv_many(self, most: int = 64, *, timeout: Union[Seconds, Own] = OWN) -> list[Datagram]:
        """Waits for the next datagram, and returns it with those behind it that are there already,
        each as :meth:`recvfrom` does: up to ``most``, and no more than 1,024 datagrams or 128 KiB.
        Once :meth:`fileno` has been asked for, it returns one. In everything else this is as
        :meth:`recv`; an error behind datagrams is that of the next call."""
        most = _library.number(most, "most", 0, sys.maxsize)
        if self._readiness is not None:
            return [self.recvfrom(timeout=timeout)] if most else []
        time = self._timeout if isinstance(timeout, Own) else timeout
        cursor, room = self._cursor, _room()
        try:
            arguments = (*room.for_many, _library.size(min(most, _MANY)))
            count = _received(cursor.handle, cursor.function_many, time, self._hopeless, arguments)
            memory = room.memory
            return [
                (memory[at : at + length], (host[: host.index(0)].decode(), port))
                for at, length, port, host in _DATAGRAM.iter_unpack(room.records[: count * _DATAGRAM.size])
            ]
        finally:
            _rooms.append(room)

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
