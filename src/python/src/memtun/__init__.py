"""Drive an in-memory /dev/net/tun from tests, without privileges.

>>> import memtun
>>> with memtun.Net() as net:                             # doctest: +SKIP
...     app = net.popen(["./myvpn", "--dev", "tun0"])     # subprocess.Popen under the shim
...     tun = net.interface("tun0", timeout=5)            # waits for TUNSETIFF
...     source = tun.send_udp(b"ping", ("10.0.0.1", 7))
...     tun.receive_udp(*source).recv(1024, timeout=5)
b'ping'

With pytest, the fixture ``memtun`` is a fresh :class:`Net` per test.

======================  ================================================================
module                  subject
======================  ================================================================
``_library``            libmemtun.so: where it is, its functions
``_net``                nets
``_interface``          packets and datagrams in, link settings
``_receive``            packets and datagrams out
``_views``              snapshots
``_programs``           programs under the shim
``_capture``            pcapng files
``_leftovers``          what ends with a net, also when its driver is killed
``_errors``             exceptions
``pytest_plugin``       fixtures, marker, report
======================  ================================================================

PYTEST_DONT_REWRITE: the process of a marked test has imported this before its pytest begins, which would warn of it.
"""

from ._capture import Capture
from ._errors import (
    Ended,
    EndedError,
    Error,
    ErrorKind,
    FullError,
    Gone,
    GoneError,
    InvalidValue,
    InvalidValueError,
    NotPermitted,
    NotPermittedError,
    PacketsLost,
    PacketsLostError,
    Timeout,
    TimeoutError,
)
from ._faults import Fault
from ._host import Addresses, Neighbours, Routes
from ._interface import Interface, Link
from ._library import active, version
from ._net import Net
from ._packets import Packet
from ._permissions import Permissions
from ._programs import Bypass, BypassWarning, Program
from ._receive import Receiver, Subscriber
from ._sockets import Socket
from ._views import Counters, InterfaceInfo, Tunnel
from ._waiting import DEFAULT_TIMEOUT

__all__ = [
    "DEFAULT_TIMEOUT",
    "Addresses",
    "BypassWarning",
    "Capture",
    "Counters",
    "EndedError",
    "Error",
    "ErrorKind",
    "Fault",
    "FullError",
    "GoneError",
    "Interface",
    "InterfaceInfo",
    "InvalidValueError",
    "Neighbours",
    "Net",
    "NotPermittedError",
    "Packet",
    "PacketsLostError",
    "Permissions",
    "Program",
    "Receiver",
    "Routes",
    "Socket",
    "Subscriber",
    "TimeoutError",
    "Tunnel",
    "active",
    "version",
]

# These older names still work, and stand for the same things.
__all__ += [
    "Bypass",
    "Ended",
    "Gone",
    "InvalidValue",
    "Link",
    "NotPermitted",
    "PacketsLost",
    "Timeout",
]
