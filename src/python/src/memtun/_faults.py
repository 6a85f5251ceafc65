"""Calls of programs that fail on purpose."""

from __future__ import annotations

from . import _library
from ._handles import Handle

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True


class Fault:
    """A fault that is set. As a context manager it is taken back at the end of the block."""

    def __init__(self, net: Handle, spec: str) -> None:
        self.spec = spec
        """The fault as it was given: ``OPERATION[:REQUEST]=ERRNO[@WHEN]``."""
        self._net = net
        self._spec = _library.c_text(spec, "fault")
        with net as pointer:
            _library.call("memtun_net_fault", pointer, self._spec)

    def take_back(self) -> bool:
        """Takes the fault back. Returns False when it had struck all its calls already."""
        with self._net as pointer:
            return _library.call("memtun_net_take_back", pointer, self._spec) == 1

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, *_: object) -> None:
        self.take_back()

    def __repr__(self) -> str:
        return f"<memtun.Fault {self.spec}>"
