"""Sockets of a net for a process that is not under the shim: real ones of the machine's, whose
names are the net's."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import socket
import struct
import time
from collections.abc import Iterable
from typing import Any, Optional, Union

from . import _library
from ._errors import Error
from ._handles import Handle
from ._waiting import Seconds, checked

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

Buffer = Union[bytes, bytearray, memoryview]

# Room for any name of AF_INET or AF_INET6.
_ROOM = 28
# Room for what the net's host says of an error, which begins as a datagram.
_REPORT = 64
# Connections that wait to be accepted, unless the caller says otherwise.
_QUEUE = min(socket.SOMAXCONN, 128)


def _call(name: str, *arguments: object) -> int:
    """Calls a function of the library, whose errors are those of Python's own sockets."""
    while True:
        try:
            return _library.call(name, *arguments)
        except Error as e:
            if e.errno != errno.EINTR:
                raise OSError(e.errno, e.strerror) from None


class _Name:
    """A name in memory that C reads and writes."""

    def __init__(self, packed: bytes = b"") -> None:
        self.bytes = ctypes.create_string_buffer(packed, _ROOM)
        self.length = ctypes.c_uint32(len(packed) or _ROOM)
        self.room = (self.bytes, ctypes.byref(self.length))
        self.given = (self.bytes, len(packed))

    def tuple(self) -> tuple[Any, ...]:
        """The name as Python has it: two items for IPv4, four for IPv6."""
        raw = self.bytes.raw
        (family,) = struct.unpack_from("=H", raw)
        (port,) = struct.unpack_from("!H", raw, 2)
        if family == socket.AF_INET:
            return socket.inet_ntop(family, raw[4:8]), port
        flow, host, scope = struct.unpack_from("!I16s", raw, 4) + struct.unpack_from("=I", raw, 24)
        return socket.inet_ntop(family, host), port, flow, scope


def _packed(family: int, host: str, port: int, flow: int = 0, scope: int = 0) -> bytes:
    raw = socket.inet_pton(family, host)
    if family == socket.AF_INET:
        return struct.pack("=H", family) + struct.pack("!H", port) + raw + bytes(8)
    return struct.pack("=H", family) + struct.pack("!HI", port, flow) + raw + struct.pack("=I", scope)


class Socket(socket.socket):
    """A real socket of the machine's (:class:`socket.socket`) in a net: names that it takes and
    gives are the net's, and its data goes through the net's interfaces. It works wherever a
    socket does: in :mod:`selectors`, as ``sock=`` of :mod:`asyncio`, in :mod:`http.client`, under
    :mod:`ssl` once it is connected. Addresses of the loopback are the machine's own.

    Errors are those of Python's own sockets, with a sentence that says what to do where the net
    is the reason."""

    def __init__(
        self,
        net: Handle,
        family: int = socket.AF_INET,
        type: int = socket.SOCK_STREAM,
        proto: int = 0,
        fileno: Optional[int] = None,
    ) -> None:
        if family not in (socket.AF_INET, socket.AF_INET6):
            raise OSError(errno.EAFNOSUPPORT, f"family {family}: a net has sockets of AF_INET and AF_INET6")
        super().__init__(family, type, proto, fileno)
        self._net = net

    def _ask(self, name: str, *arguments: object) -> int:
        with self._net as net:
            return _call(name, net, self.fileno(), *arguments)

    def _name(self, address: Any) -> _Name:
        """A name that the caller gave, for C."""
        is_v6 = self.family == socket.AF_INET6
        if not isinstance(address, tuple) or not 2 <= len(address) <= (4 if is_v6 else 2):
            raise TypeError(f"address {address!r}: give (host, port){' or four items' if is_v6 else ''}")
        host, port, *more = address
        if not isinstance(port, int):
            raise TypeError(f"port must be int, not {port.__class__.__name__}")
        if not 0 <= port <= 65535:
            raise OverflowError("port must be 0-65535.")
        host = host.decode() if isinstance(host, (bytes, bytearray)) else str(host)
        if host == "":
            host = "::" if is_v6 else "0.0.0.0"
        elif host == "<broadcast>":
            host = "255.255.255.255"
        host, _, interface = host.partition("%")
        try:
            raw = _packed(self.family, host, port, *more)
        except OSError:
            found = socket.getaddrinfo(host, port, self.family, self.type)
            raw = _packed(self.family, *found[0][4][:2], *more)
        if interface:
            raw = raw[:24] + struct.pack("=I", self._index(interface))
        return _Name(raw)

    def _index(self, interface: str) -> int:
        if interface.isdigit():
            return int(interface)
        with self._net as net:
            described = json.loads(_library.text("memtun_net_describe", net))
        for known in described["interfaces"]:
            if known["name"] == interface:
                return int(known["index"])
        raise OSError(errno.ENODEV, f"the net has no interface {interface}")

    def bind(self, address: Any) -> None:
        """Gives the socket a name of the net's."""
        self._ask("memtun_net_bind", *self._name(address).given)

    def listen(self, backlog: int = _QUEUE) -> None:
        """Lets others connect."""
        self._ask("memtun_net_listen", max(0, backlog))

    def _native(self, address: Any) -> _Name:
        """The name with which the machine's socket connects."""
        native = _Name()
        self._ask("memtun_net_connect_name", *self._name(address).given, *native.room)
        return native

    def _refused(self) -> int:
        return self._ask("memtun_net_connect_refused")

    def connect(self, address: Any) -> None:
        """Connects with a name of the net's."""
        native = self._native(address)
        try:
            super().connect(native.tuple())
        except (ConnectionRefusedError, ConnectionResetError):
            code = self._refused()
            if not code:
                raise
            raise OSError(code, os.strerror(code)) from None

    def connect_ex(self, address: Any) -> int:
        """The same as :meth:`connect`, but gives an errno."""
        try:
            native = self._native(address)
        except OSError as e:
            if e.errno is None:
                raise
            return e.errno
        code = super().connect_ex(native.tuple())
        ended = code in (errno.ECONNREFUSED, errno.ECONNRESET)
        return (ended and self._refused()) or code

    def _sender(self, native: Any, data: Buffer) -> Optional[tuple[Any, ...]]:
        """The name of the net's in place of the machine's; None where nobody of the net has sent
        it."""
        try:
            name = _Name(_packed(self.family, *native))
        except (OSError, TypeError):
            return native if isinstance(native, tuple) else None
        room = _Name()
        room.bytes.raw, room.length.value = name.bytes.raw, name.given[1]
        start = bytes(data[:_REPORT])
        try:
            self._ask("memtun_net_sender_name", start, len(start), *room.room)
        except BlockingIOError:
            return None
        return room.tuple()

    def accept(self) -> tuple[Socket, Any]:
        """Takes the next connection, with the name of its other end."""
        while True:
            fd, native = self._accept()  # type: ignore[attr-defined]
            connection = Socket(self._net, self.family, self.type, self.proto, fileno=fd)
            try:
                name = connection._sender(native, b"")
            except BaseException:
                connection.close()
                raise
            if name is None:
                connection.close()
                continue
            if socket.getdefaulttimeout() is None and self.gettimeout():
                connection.setblocking(True)
            return connection, name

    def getsockname(self) -> Any:
        """Its own name."""
        return self._shown("memtun_net_getsockname")

    def getpeername(self) -> Any:
        """The name of the other end."""
        return self._shown("memtun_net_getpeername")

    def _shown(self, function: str) -> tuple[Any, ...]:
        name = _Name()
        self._ask(function, *name.room)
        return name.tuple()

    def getsockopt(self, *arguments: Any) -> Any:
        """An option. SO_ERROR is what has gone wrong in the net."""
        if arguments == (socket.SOL_SOCKET, socket.SO_ERROR):
            return self._ask("memtun_net_socket_error")
        return super().getsockopt(*arguments)

    @property
    def _is_datagram(self) -> bool:
        return self.type == socket.SOCK_DGRAM

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """Receives, and says who has sent it."""
        if not self._is_datagram or bufsize < 0:
            return super().recvfrom(bufsize, flags)
        while True:
            data, native = super().recvfrom(max(bufsize, _REPORT), flags)
            try:
                name = self._sender(native, data)
            except OSError:
                self._take(flags)
                raise
            if name is not None:
                return data[:bufsize], name
            self._take(flags)

    def _take(self, flags: int) -> None:
        """Takes a datagram out that was only looked at."""
        if flags & socket.MSG_PEEK:
            with contextlib.suppress(OSError):
                super().recv(1, socket.MSG_DONTWAIT)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receives."""
        if not self._is_datagram:
            return super().recv(bufsize, flags)
        return self.recvfrom(bufsize, flags)[0]

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """Receives into a buffer, and says who has sent it."""
        if not self._is_datagram:
            return super().recvfrom_into(buffer, nbytes, flags)
        with memoryview(buffer) as view, view.cast("B") as room:
            data, name = self.recvfrom(nbytes or len(room), flags)
            room[: len(data)] = data
        return len(data), name

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receives into a buffer."""
        if not self._is_datagram:
            return super().recv_into(buffer, nbytes, flags)
        return self.recvfrom_into(buffer, nbytes, flags)[0]

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        """Receives, with control messages. Addresses in those are the machine's."""
        if not self._is_datagram:
            return super().recvmsg(bufsize, ancbufsize, flags)
        while True:
            data, control, answer, native = super().recvmsg(max(bufsize, _REPORT), ancbufsize, flags)
            try:
                name = self._sender(native, data)
            except OSError:
                self._take(flags)
                raise
            if name is not None:
                cut = socket.MSG_TRUNC if len(data) > bufsize else 0
                return data[:bufsize], control, answer | cut, name
            self._take(flags)

    def recvmsg_into(self, buffers: Iterable[Any], ancbufsize: int = 0, flags: int = 0) -> tuple[int, list[Any], int, Any]:
        """Receives into buffers, with control messages."""
        if not self._is_datagram:
            return super().recvmsg_into(buffers, ancbufsize, flags)
        rooms = [memoryview(buffer).cast("B") for buffer in buffers]
        data, control, answer, name = self.recvmsg(sum(map(len, rooms)), ancbufsize, flags)
        done = 0
        for room in rooms:
            part = data[done : done + len(room)]
            room[: len(part)] = part
            done += len(part)
        return len(data), control, answer, name

    def sendto(self, data: Any, *arguments: Any) -> int:
        """Sends a datagram to a name of the net's."""
        flags, address = (0, *arguments) if len(arguments) == 1 else arguments
        if not self._is_datagram:
            return super().sendto(data, flags, address)
        name, payload = self._name(address), bytes(data)
        timeout = self.gettimeout()
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                return self._ask("memtun_net_sendto", payload, len(payload), flags | socket.MSG_DONTWAIT, *name.given)
            except BlockingIOError:
                left = None if end is None else end - time.monotonic()
                if timeout == 0 or flags & socket.MSG_DONTWAIT:
                    raise
            if left is not None and left <= 0:
                raise socket.timeout("timed out")
            poll = select.poll()
            poll.register(self.fileno(), select.POLLOUT)
            poll.poll(None if left is None else left * 1000)

    def sendmsg(self, buffers: Iterable[Any], ancdata: Iterable[Any] = (), flags: int = 0, address: Any = None) -> int:
        """Sends. A datagram to a name takes no control messages."""
        if address is None or not self._is_datagram:
            return super().sendmsg(buffers, ancdata, flags)
        if list(ancdata):
            raise OSError(errno.EOPNOTSUPP, "control messages go with a connected socket only: connect it first")
        return self.sendto(b"".join(bytes(b) for b in buffers), flags, address)

    def dup(self) -> Socket:
        """Another descriptor of the same socket."""
        copy = Socket(self._net, self.family, self.type, self.proto, fileno=os.dup(self.fileno()))
        copy.settimeout(self.gettimeout())
        return copy


def create_connection(
    net: Handle, address: tuple[str, int], timeout: Seconds, source_address: Optional[tuple[str, int]]
) -> Socket:
    """Connects with the first address of a host that takes the connection."""
    host, port = address
    limit, failed = checked(timeout), None
    for family, kind, proto, _, name in _addresses(host, port):
        made = Socket(net, family, kind, proto)
        try:
            made.settimeout(limit)
            if source_address:
                made.bind(source_address)
            made.connect(name)
            return made
        except OSError as e:
            failed = e
            made.close()
    raise failed or OSError("getaddrinfo returns an empty list")


def _addresses(host: Any, port: int) -> list[Any]:
    """What getaddrinfo finds. An interface's name behind an address is the net's, which only the
    net knows."""
    bare, _, interface = str(host).partition("%")
    found = socket.getaddrinfo(bare, port, 0, socket.SOCK_STREAM)
    if not interface:
        return list(found)
    return [(*entry[:4], (f"{bare}%{interface}", port)) for entry in found]


def create_server(
    net: Handle, address: tuple[str, int], family: int, backlog: Optional[int], reuse_port: bool, dualstack_ipv6: bool
) -> Socket:
    """Listens at an address."""
    made = Socket(net, family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dualstack_ipv6 else 1)
        elif dualstack_ipv6:
            raise ValueError("dualstack_ipv6 requires an AF_INET6 socket")
        made.bind(address)
        made.listen(_QUEUE if backlog is None else backlog)
        return made
    except BaseException:
        made.close()
        raise
