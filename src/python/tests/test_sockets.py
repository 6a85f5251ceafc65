"""Sockets of a net in a process that is not under the shim."""

from __future__ import annotations

import asyncio
import errno
import http.client
import http.server
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import memtun as m

WIRE = Path(__file__).parent / "programs" / "wire.py"
HERE, THERE = "10.9.0.1", "10.9.0.2"


class Hosts:
    """Two nets whose interfaces a wire joins."""

    def __init__(self, here: m.Net, there: m.Net) -> None:
        self.nets = (here, there)
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for net, end, address in zip(self.nets, ends, ("1", "2")):
            net.popen([sys.executable, str(WIRE), "tun0", str(end.fileno())], pass_fds=[end.fileno()])
            end.close()
            tun = net.interface("tun0", timeout=20)
            tun.addresses = [f"10.9.0.{address}/24", f"fd00:9::{address}/64"]
        self.here, self.there = here, there


@pytest.fixture
def hosts(memtun: m.Net) -> Iterator[Hosts]:
    with m.Net() as there:
        yield Hosts(memtun, there)


def test_a_net_without_an_address_says_what_is_missing(echo, memtun: m.Net) -> None:
    with pytest.raises(OSError, match="tun.addresses.add") as e:
        memtun.create_connection((HERE, 80))
    assert e.value.errno == errno.ENETUNREACH
    with pytest.raises(OSError, match="no interface of the net has an address") as e:
        memtun.create_server((HERE, 80))
    assert e.value.errno == errno.EADDRNOTAVAIL
    echo().addresses.add("10.9.0.1/24")
    with pytest.raises(OSError, match="memtun ip address") as e:
        memtun.create_server(("10.9.9.9", 80))
    assert e.value.errno == errno.EADDRNOTAVAIL
    with pytest.raises(OSError, match="memtun ip route") as e:
        memtun.create_connection(("10.77.0.1", 80))
    assert e.value.errno == errno.ENETUNREACH
    with pytest.raises(OSError) as e:
        memtun.socket(socket.AF_UNIX)
    assert e.value.errno == errno.EAFNOSUPPORT


@pytest.mark.parametrize("family, here, there", [
    (socket.AF_INET, HERE, THERE),
    (socket.AF_INET6, "fd00:9::1", "fd00:9::2"),
])
def test_datagrams_have_the_addresses_of_the_net(hosts: Hosts, family: int, here: str, there: str) -> None:
    with hosts.here.socket(family, socket.SOCK_DGRAM) as a, hosts.there.socket(family, socket.SOCK_DGRAM) as b:
        a.settimeout(5)
        b.settimeout(5)
        b.bind((there, 7000))
        assert b.getsockname()[:2] == (there, 7000)
        assert a.sendto(b"ping", (there, 7000)) == 4
        port = a.getsockname()[1]
        data, source = b.recvfrom(100)
        assert (data, source[:2]) == (b"ping", (here, port))
        assert b.sendmsg([b"po", b"ng"], [], 0, source) == 4
        assert a.recv(100, socket.MSG_PEEK) == b"pong"
        room = bytearray(2)
        assert a.recvfrom_into(room)[1][:2] == (there, 7000) and room == b"po"
        a.connect((there, 7000))
        assert a.getpeername()[:2] == (there, 7000) and a.getsockname()[:2] == (here, port)
        a.send(b"x" * 1000)
        data, _, _, source = b.recvmsg(5000)
        assert (len(data), source[:2]) == (1000, (here, port))
        assert select.select([a, b], [], [], 0) == ([], [], [])


def test_a_refused_datagram_is_an_error_of_the_socket(hosts: Hosts) -> None:
    with hosts.here.socket(type=socket.SOCK_DGRAM) as a:
        a.settimeout(5)
        a.connect((THERE, 7))
        a.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            a.recv(100)
        a.setblocking(False)
        with pytest.raises(BlockingIOError):
            a.recv(100)


def test_a_port_belongs_to_one_socket_of_each_net(hosts: Hosts) -> None:
    with hosts.here.create_server(("", 80)) as a, hosts.there.create_server(("", 80)) as b:
        assert a.getsockname() == b.getsockname() == ("0.0.0.0", 80)
        with pytest.raises(OSError, match="a socket of the net has this name") as e:
            hosts.here.create_server((HERE, 80))
        assert e.value.errno == errno.EADDRINUSE
        with pytest.raises(OSError) as e:
            a.bind((HERE, 81))
        assert e.value.errno == errno.EINVAL


def test_a_program_of_the_net_and_a_driver(hosts: Hosts) -> None:
    code = (
        "import socket\n"
        f"s = socket.create_server(('{HERE}', 0))\n"
        "print(s.getsockname()[1], flush=True)\n"
        "c, name = s.accept()\n"
        "c.sendall(repr((name[0], c.getsockname()[0])).encode())\n"
    )
    program = hosts.here.popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    port = int(program.stdout.readline())
    with hosts.here.create_connection((HERE, port)) as a:
        assert a.getpeername() == (HERE, port) and a.getsockname()[0] == HERE
        assert a.recv(100) == repr((HERE, HERE)).encode()


@pytest.mark.parametrize("here, there", [(HERE, THERE), ("fd00:9::1", "fd00:9::2")])
def test_a_connection_has_the_addresses_of_the_net(hosts: Hosts, here: str, there: str) -> None:
    family = socket.AF_INET6 if ":" in there else socket.AF_INET
    with hosts.there.create_server((there, 0), family=family) as server:
        port = server.getsockname()[1]
        assert server.getsockname()[0] == there
        with hosts.here.create_connection((there, port), source_address=(here, 0)) as a:
            server.settimeout(5)
            b, name = server.accept()
            with b:
                assert name[:2] == a.getsockname()[:2] == b.getpeername()[:2]
                assert a.getpeername()[:2] == b.getsockname()[:2] == (there, port)
                assert name[0] == here
                sent = os.urandom(1 << 20)
                thread = threading.Thread(target=lambda: (a.sendall(sent), a.shutdown(socket.SHUT_WR)))
                thread.start()
                b.settimeout(10)
                with b.makefile("rb") as file:
                    assert file.read() == sent
                thread.join()
                with a.dup() as copy:
                    assert copy.getpeername() == a.getpeername()


def test_a_refused_connection(hosts: Hosts) -> None:
    with pytest.raises(ConnectionRefusedError):
        hosts.here.create_connection((THERE, 9))
    with hosts.here.socket() as a:
        assert a.connect_ex((THERE, 9)) == errno.ECONNREFUSED
    with hosts.here.socket() as a:
        a.setblocking(False)
        assert a.connect_ex((THERE, 9)) in (errno.EINPROGRESS, errno.ECONNREFUSED)
        assert select.select([], [a], [], 5)[1] == [a]
        a.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def test_asyncio(hosts: Hosts) -> None:
    async def both() -> bytes:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            name = writer.get_extra_info("peername")[0].encode()
            writer.write(name + b" " + await reader.readline())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, sock=hosts.there.create_server((THERE, 7)))
        loop = asyncio.get_running_loop()
        a = hosts.here.socket()
        a.setblocking(False)
        await loop.sock_connect(a, (THERE, 7))
        reader, writer = await asyncio.open_connection(sock=a)
        writer.write(b"hello\n")
        answered = await reader.read()
        writer.close()
        server.close()
        return answered

    assert asyncio.run(asyncio.wait_for(both(), 20)) == f"{HERE} hello\n".encode()


def test_asyncio_datagrams(hosts: Hosts) -> None:
    async def both() -> tuple[bytes, object]:
        loop = asyncio.get_running_loop()
        came = loop.create_future()

        class Echo(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, address: object) -> None:
                self.transport.sendto(data.upper(), address)  # type: ignore[attr-defined]

        class Hears(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, address: object) -> None:
                came.set_result((data, address))

        b = hosts.there.socket(type=socket.SOCK_DGRAM)
        b.bind((THERE, 7))
        echo, _ = await loop.create_datagram_endpoint(Echo, sock=b)
        a = hosts.here.socket(type=socket.SOCK_DGRAM)
        a.bind((HERE, 0))
        asks, _ = await loop.create_datagram_endpoint(Hears, sock=a)
        asks.sendto(b"hello", (THERE, 7))
        try:
            return await came
        finally:
            asks.close()
            echo.close()

    assert asyncio.run(asyncio.wait_for(both(), 20)) == (b"HELLO", (THERE, 7))


def test_http(hosts: Hosts, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("a page")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((THERE, 80), Quiet, bind_and_activate=False)
    server.socket.close()
    server.socket = hosts.there.create_server((THERE, 80))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        connection = http.client.HTTPConnection(THERE)
        connection.sock = hosts.here.create_connection((THERE, 80))
        connection.request("GET", "/page")
        assert connection.getresponse().read() == b"a page"
        connection.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_receive_udp_counts_as_a_socket(hosts: Hosts) -> None:
    tun = hosts.there.interface("tun0")
    receiver = tun.receive_udp(THERE, 7)
    with hosts.here.socket(type=socket.SOCK_DGRAM) as a:
        a.connect((THERE, 7))
        a.send(b"for a driver")
        assert receiver.recvfrom()[0] == b"for a driver"
        a.settimeout(0.3)
        with pytest.raises(socket.timeout):
            a.recv(100)
        receiver.close()
        a.send(b"for nobody")
        a.settimeout(5)
        with pytest.raises(ConnectionRefusedError):
            a.recv(100)
