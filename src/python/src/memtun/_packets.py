"""Packets as the network sees them."""

from __future__ import annotations

from typing import Union

from . import _library

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

Data = Union[bytes, bytearray, memoryview]


class Packet(bytes):
    """The bytes of a packet, without packet information and vnet header; for a TAP the whole
    frame, from the destination address on."""

    ethertype: int
    """Ethertype in host byte order; 0 where there is none."""
    time_ns: int
    """When the program wrote the packet, in nanoseconds since 1970; 0 for one that still waits
    to be read."""
    tap: bool
    """Is it an Ethernet frame? Otherwise it is an IP packet."""

    def __new__(cls, data: bytes, ethertype: int = 0, time_ns: int = 0, tap: bool = False) -> Packet:
        self = bytes.__new__(cls, data)
        own = self.__dict__
        own["ethertype"], own["time_ns"], own["tap"] = ethertype, time_ns, tap
        return self

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a packet does not change: {name} cannot be set")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (bytes(self), self.ethertype, self.time_ns, self.tap)

    def describe(self) -> str:
        """One line of text about the packet, such as ``IPv4 10.1.2.3:21345 > 10.0.0.1:7 UDP 5
        bytes``."""
        return _library.text("memtun_packet_describe", bytes(self), len(self), self.ethertype, int(self.tap))


def data_of(packet: Data) -> bytes:
    """The bytes of a bytes-like object. (``bytes`` would take an int for a length.)"""
    if type(packet) is bytes:
        return packet
    if isinstance(packet, str):
        raise TypeError("packets and payloads are bytes, not str: encode it")
    return memoryview(packet).tobytes()
