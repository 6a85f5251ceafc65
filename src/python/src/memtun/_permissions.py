"""What programs may do: the set that the seed of memtun, Twisted's MemoryIOSystem, calls ``permissions``."""

from __future__ import annotations

from collections.abc import Iterator, MutableSet

from . import _library
from ._handles import Handle

# A failed test shows the line of the test that called, and what it was told.
__tracebackhide__ = True

ALL = ("open", "ioctl", "net_admin")


class Permissions(MutableSet[str]):
    """The live set of a net's permissions, out of ``"open"``, ``"ioctl"`` and ``"net_admin"``. Taking one away
    makes that call fail with EPERM from then on, in programs that run as well; without ``"net_admin"`` what the
    kernel asks CAP_NET_ADMIN for: making interfaces, attaching to one whose owner and group the program is not
    (``Interface.owner``, ``Interface.group``), changing one by requests on sockets."""

    def __init__(self, net: Handle) -> None:
        self._net = net

    def __contains__(self, operation: object) -> bool:
        if operation not in ALL:
            return False
        return self._call("memtun_net_permits", str(operation)) == 1

    def __iter__(self) -> Iterator[str]:
        return iter([operation for operation in ALL if operation in self])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def add(self, value: str) -> None:
        """Gives a permission back."""
        self._call("memtun_net_permit", value)

    def discard(self, value: str) -> None:
        """Takes a permission away."""
        self._call("memtun_net_deny", value)

    def _call(self, name: str, operation: str) -> int:
        with self._net as pointer:
            return _library.call(name, pointer, _library.c_text(operation, "permission"))

    def __repr__(self) -> str:
        return f"<memtun.Permissions {sorted(self)}>"
