"""Addresses as socket functions take them: ``(host, port)``, where the host is an IP address as
text."""

from __future__ import annotations

import ctypes
import re
from ipaddress import IPv4Address, IPv6Address
from typing import Optional, Union

from . import _library
from ._errors import invalid

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

Host = Union[str, IPv4Address, IPv6Address]
Address = tuple[str, int]

_ROOM = 64


def host_text(host: Host) -> bytes:
    """The host as text for C, which says what is wrong with it."""
    return _library.c_text(str(host) if isinstance(host, (IPv4Address, IPv6Address)) else host, "host")


def any_host(host: Optional[Host]) -> Optional[bytes]:
    """The host as text for C; None for None and the empty string, which stand for any host as in
    socket.bind."""
    return None if host is None or host == "" else host_text(host)


def port_number(port: int) -> int:
    """The port for C, where 65543 would become 7 without this check."""
    return _library.number(port, "port", 0, 65535)


def pair(address: tuple[Host, int], what: str) -> tuple[bytes, int]:
    """The host and the port of an address. Socket functions give two more numbers for IPv6,
    which mean nothing here."""
    if not isinstance(address, tuple) or len(address) not in (2, 4):
        invalid(f"{what} {address!r}: give (host, port)")
    return host_text(address[0]), port_number(address[1])


def shown(address: Address) -> str:
    """The address as people write it: ``10.0.0.1:7`` or ``[fd00::1]:7``."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def mac_bytes(address: str) -> bytes:
    """The six bytes of a hardware address, which is given as ``02:00:00:00:00:07``."""
    if not isinstance(address, str):
        raise TypeError(f"mac must be str, not {type(address).__name__}")
    if not re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", address):
        invalid(f"mac {address!r}: give six bytes as 02:00:00:00:00:07")
    return bytes.fromhex(address.replace(":", ""))


class Buffer:
    """Memory in which C stores an address."""

    def __init__(self) -> None:
        self.host = ctypes.create_string_buffer(_ROOM)
        self.room = _ROOM
        self.port = ctypes.c_uint16()
        self.port_reference = ctypes.byref(self.port)

    def address(self) -> Address:
        """The address that C has stored."""
        return self.host.value.decode(), self.port.value


def source_for(source: Optional[tuple[Host, int]], destination: bytes) -> Address:
    """The source address of a datagram to ``destination``: the given one with port 0 replaced by
    the default port, or the default address."""
    host, port = (None, 0) if source is None else pair(source, "source")
    out = Buffer()
    _library.call("memtun_udp_source", host, port, destination, out.host, out.room, out.port_reference)
    return out.address()
