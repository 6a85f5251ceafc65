from __future__ import annotations

from pathlib import Path

import pytest

import memtun as m


def test_a_capture_has_what_was_written_before_its_end(echo, memtun: m.Net, tmp_path: Path) -> None:
    tun = echo()
    receiver = tun.receive_udp("10.1.2.3", 21345)
    tun.send_udp(b"earlier", ("10.0.0.1", 7))
    assert receiver.recv(timeout=20) == b"earlier"
    with memtun.capture(tmp_path / "file.pcapng") as capture:
        tun.send_udp(b"meanwhile", ("10.0.0.1", 7))
        assert receiver.recv(timeout=20) == b"meanwhile"
    data = capture.path.read_bytes()
    assert data.index(b"earlier") < data.index(b"meanwhile")
    assert capture.stop() == tmp_path / "file.pcapng"


def test_a_capture_ends_with_its_net(tmp_path: Path) -> None:
    with m.Net() as net:
        capture = net.capture(tmp_path / "file.pcapng")
    assert capture._process.poll() == 0


def test_a_file_that_cannot_be_written(memtun: m.Net, tmp_path: Path) -> None:
    with pytest.raises(m.Error, match=r"no/file\.pcapng"):
        memtun.capture(tmp_path / "no" / "file.pcapng")
