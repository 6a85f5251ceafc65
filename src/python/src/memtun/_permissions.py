"""What programs may do: the set that Twisted's MemoryIOSystem calls ``permissions``."""

from __future__ import annotations

from collections.abc import Iterator, MutableSet

from . import _library
from ._handles import Handle

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

ALL = ("open", "ioctl", "net_admin")


class Permissions(MutableSet[str]):
    """The live set of a net's permissions: ``"open"``, ``"ioctl"`` and ``"net_admin"``. Taking
    one away makes that call fail with EPERM from then on, in programs that are already running
    as well. Without ``"net_admin"`` the operations fail for which the kernel demands
    CAP_NET_ADMIN: making interfaces, attaching to an interface whose owner and group the program
    is not (``Link.owner``, ``Link.group``), and changing an interface by requests on sockets."""

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
