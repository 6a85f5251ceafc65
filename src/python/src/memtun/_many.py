"""Many packets in one call of the library."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterable
from itertools import accumulate
from typing import Callable, Optional

from . import _library
from ._errors import Error
from ._packets import Data, data_of
from ._waiting import Hopeless, Seconds, in_turns

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

_ELEMENT = 16  # bytes of a struct iovec: an address and a length


class Batch:
    """Packets for one call: an array of struct iovec, and how many of them are done."""

    def __init__(self, packets: Iterable[Data]) -> None:
        self.packets = [data_of(packet) for packet in packets]
        # The bytes stand in one object, so that one address says where all of them are.
        self._bytes = b"".join(self.packets)
        begin = ctypes.cast(ctypes.c_char_p(self._bytes), ctypes.c_void_p).value or 0
        lengths = array("Q", map(len, self.packets))
        self._parts = array("Q", bytes(_ELEMENT * len(lengths)))
        self._parts[0::2] = array("Q", accumulate([begin, *lengths]))[:-1]
        self._parts[1::2] = lengths
        self.done = 0
        self._more = ctypes.c_size_t()

    def go(
        self,
        offer: Callable[..., int],
        send: Callable[..., int],
        timeout: Seconds,
        hopeless: Optional[Hopeless],
    ) -> None:
        """Hands all packets over. ``offer`` and ``send`` make one call with the arguments that it
        is given here: the address of what is left, its number, where to store how many of it are
        done, and milliseconds."""

        def attempt(call: Callable[..., int], ms: int) -> None:
            left = len(self.packets) - self.done
            at = ctypes.c_void_p(self._parts.buffer_info()[0] + _ELEMENT * self.done)
            self._more.value = 0
            answer = call(at, ctypes.c_size_t(left), ctypes.byref(self._more), ctypes.c_int(ms))
            self.done += self._more.value
            if answer < 0:
                _library.fail(-answer)

        try:
            in_turns(lambda ms: attempt(offer, ms), timeout, lambda ms: attempt(send, ms), hopeless)
        except Error as e:
            e.done = self.done
            raise
