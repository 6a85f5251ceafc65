"""What a net's host knows: addresses of interfaces, routes and neighbours, in the words of ip(8)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, MutableSet
from ipaddress import (
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    IPv6Network,
)
from typing import Any, Union

from . import _library
from ._handles import Handle

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

Words = Union[str, IPv4Interface, IPv6Interface, IPv4Network, IPv6Network]
"""What is given as text may be an object of ``ipaddress``, too."""


class _Items(MutableSet[str]):
    """A live set of texts that the library describes, adds to and removes from."""

    _described: str
    _describe: str
    _add: str
    _remove: str
    _what: str
    _kept = "\0"

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def records(self) -> list[dict[str, Any]]:
        """The same items with all that is known of each, under the names of ``ip -j``."""
        with self._handle as pointer:
            described = json.loads(_library.text(self._describe, pointer))
        return list(described[self._described])

    def __contains__(self, item: object) -> bool:
        return str(item) in list(self)

    def __iter__(self) -> Iterator[str]:
        return iter([record["text"] for record in self.records()])

    def __len__(self) -> int:
        return len(self.records())

    def add(self, value: Words) -> None:
        """Adds an item; it is an error when it is there already."""
        self._call(self._add, value)

    def remove(self, value: Words) -> None:
        """Removes an item; it is an error when it is not there."""
        self._call(self._remove, value)

    def discard(self, value: Words) -> None:
        """Removes an item if it is there."""
        if value in self:
            self._call(self._remove, value)

    def become(self, values: Iterable[Words]) -> None:
        """Adds what is missing and removes what is not among the values."""
        wanted = [value if isinstance(value, str) else str(value) for value in values]
        for old in list(self):
            if old not in wanted and not old.startswith(self._kept):
                self.discard(old)
        present = list(self)
        for new in wanted:
            if new not in present:
                self.add(new)

    def _call(self, name: str, value: Words) -> None:
        text = value if isinstance(value, str) else str(value)
        with self._handle as pointer:
            _library.call(name, pointer, _library.c_text(text, self._what))

    def __repr__(self) -> str:
        return f"<memtun.{type(self).__name__} {list(self)}>"


class Addresses(_Items):
    """The live set of an interface's addresses, as ``ip address`` writes them: ``"10.0.0.1/24"``,
    ``"10.0.0.1 peer 10.0.0.2/32"``, ``"fd00::1/64"``. The programs of the net see a change at
    once, and the routes that follow from it."""

    _described, _describe, _what = "addresses", "memtun_interface_describe", "address"
    # They belong to the link, which makes them anew when it comes up.
    _kept = "fe80:"
    _add, _remove = "memtun_interface_add_address", "memtun_interface_remove_address"


class Routes(_Items):
    """The live set of a net's routes, as ``ip route`` writes them: ``"10.20.0.0/16 via
    10.0.0.2"``, ``"default dev tun0 metric 5"``, ``"blackhole 10.9.0.0/16"``. The machine's own
    routes are not in it."""

    _described, _describe, _what = "routes", "memtun_net_describe", "route"
    _add, _remove = "memtun_net_add_route", "memtun_net_remove_route"


class Neighbours(_Items):
    """The live set of a net's neighbours, as ``ip neighbour`` writes them: ``"10.0.0.2 lladdr
    02:00:00:00:00:02 dev tap0"``, ``"proxy 10.0.0.9 dev tap0"``."""

    _described, _describe, _what = "neighbours", "memtun_net_describe", "neighbour"
    _add, _remove = "memtun_net_add_neighbour", "memtun_net_remove_neighbour"
