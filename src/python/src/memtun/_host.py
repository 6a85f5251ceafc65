"""What a net's host knows: addresses of interfaces, routes and neighbours, in the words of ip(8)."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Iterator, MutableSet
from ctypes import c_char_p
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any, Union

from . import _library
from ._errors import Error
from ._handles import Handle

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

Words = Union[
    str, IPv4Address, IPv6Address, IPv4Interface, IPv6Interface, IPv4Network, IPv6Network
]
"""What is given as text may be an object of ``ipaddress``, too."""

_OBJECTS = (IPv4Address, IPv6Address, IPv4Network, IPv6Network)  # an interface is an address


# What removing an address, a route and a neighbour says where there is none, or no such interface.
_NOT_THERE = (errno.EADDRNOTAVAIL, errno.ESRCH, errno.ENOENT, errno.ENODEV)


def _text(value: Words, what: str) -> bytes:
    if isinstance(value, _OBJECTS):
        value = str(value)
    return _library.c_text(value, what)


def _texts(values: Iterable[Words], what: str) -> list[bytes]:
    """The texts of several values, which one text is not, though it has letters to go through."""
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{values!r} is one {what}: give a list of them")
    return [_text(value, what) for value in values]


class _Items(MutableSet[str]):
    """A live set of texts that the library describes, adds to and removes from."""

    _described: str
    _describe: str
    _add: str
    _remove: str
    _set: str
    _what: str

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def records(self) -> list[dict[str, Any]]:
        """The same items with all that is known of each, under the names of ``ip -j``."""
        with self._handle as pointer:
            described = json.loads(_library.text(self._describe, pointer))
        return list(described[self._described])

    def __contains__(self, item: object) -> bool:
        """Is this the whole text of an item, as it is listed?"""
        return str(item) in list(self)

    def __iter__(self) -> Iterator[str]:
        return iter([record["text"] for record in self.records()])

    def __len__(self) -> int:
        return len(self.records())

    def add(self, value: Words) -> None:
        """Adds an item; it is an error when it is there already."""
        self._call(self._add, _text(value, self._what))

    def remove(self, value: Words) -> None:
        """Removes an item; it is an error when it is not there."""
        self._call(self._remove, _text(value, self._what))

    def discard(self, value: Words) -> None:
        """Removes an item if it is there."""
        try:
            self._call(self._remove, _text(value, self._what))
        except Error as e:
            if e.errno not in _NOT_THERE:
                raise

    def __ior__(self, values: Iterable[Words]) -> _Items:  # type: ignore[override,misc]
        for text in _texts(values, self._what):
            try:
                self._call(self._add, text)
            except Error as e:
                if e.errno != errno.EEXIST:
                    raise
        return self

    def become(self, values: Iterable[Words]) -> None:
        """Adds what is missing and removes what is not among the values. Where one of them is no
        such item, nothing is changed."""
        if values is self:
            return  # As after ``net.routes |= {...}``, which has done it already.
        texts = _texts(values, self._what)
        with self._handle as pointer:
            _library.call(self._set, pointer, (c_char_p * (len(texts) + 1))(*texts, None))

    def _call(self, name: str, text: bytes) -> None:
        with self._handle as pointer:
            _library.call(name, pointer, text)

    def __repr__(self) -> str:
        return f"<memtun.{type(self).__name__} {list(self)}>"


class Addresses(_Items):
    """The live set of an interface's addresses, as ``ip address`` writes them: ``"10.0.0.1/24"``,
    ``"10.0.0.1 peer 10.0.0.2/32"``, ``"fd00::1/64"``. The programs of the net see a change at
    once, and the routes that follow from it."""

    _described, _describe, _what = "addresses", "memtun_interface_describe", "address"
    _add, _remove = "memtun_interface_add_address", "memtun_interface_remove_address"
    _set = "memtun_interface_set_addresses"


class Routes(_Items):
    """The live set of a net's routes, as ``ip route`` writes them: ``"10.20.0.0/16 via
    10.0.0.2"``, ``"default dev tun0 metric 5"``, ``"blackhole 10.9.0.0/16"``. The machine's own
    routes are not in it."""

    _described, _describe, _what = "routes", "memtun_net_describe", "route"
    _add, _remove = "memtun_net_add_route", "memtun_net_remove_route"
    _set = "memtun_net_set_routes"


class Neighbours(_Items):
    """The live set of a net's neighbours, as ``ip neighbour`` writes them: ``"10.0.0.2 lladdr
    02:00:00:00:00:02 dev tap0"``, ``"proxy 10.0.0.9 dev tap0"``."""

    _described, _describe, _what = "neighbours", "memtun_net_describe", "neighbour"
    _add, _remove = "memtun_net_add_neighbour", "memtun_net_remove_neighbour"
    _set = "memtun_net_set_neighbours"
