from __future__ import annotations

import contextlib
import errno
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ECHO

import memtun as m


def gone_in_time(present) -> bool:
    limit = time.monotonic() + 20
    while present() and time.monotonic() < limit:
        time.sleep(0.02)
    return not present()


def running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def test_a_fresh_net_is_removed_and_its_programs_are_ended() -> None:
    with m.Net() as net:
        app = net.popen([sys.executable, str(ECHO), "tun0"], stdout=subprocess.DEVNULL)
        net.interface("tun0", timeout=20)
        assert net.path.is_dir() and app.state == "running"
    assert not net.path.exists() and app.state == "ended by SIGTERM"
    with pytest.raises(m.Error, match="closed"):
        net.interfaces()
    net.close()


def test_a_net_in_a_directory_stays(tmp_path: Path) -> None:
    with m.Net(tmp_path / "net") as net, m.Net(str(tmp_path / "net")) as other:
        net.permissions.discard("open")
        assert "open" not in other.permissions
    assert (tmp_path / "net").is_dir()
    assert "open" not in m.Net(tmp_path / "net").permissions


def test_a_daemon_that_takes_no_notice_is_ended_as_well(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    daemon = (
        "import os, signal, sys, time\n"
        "if os.fork(): sys.exit()\n"
        "os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(sys.argv[1] + '.new', 'w').write(str(os.getpid())); os.rename(sys.argv[1] + '.new', sys.argv[1])\n"
        "time.sleep(100)\n"
    )
    with m.Net() as net:
        assert net.run([sys.executable, "-c", daemon, str(pid_file)]).returncode == 0
        assert gone_in_time(lambda: not pid_file.exists())
        pid = int(pid_file.read_text())
        assert running(pid)
    assert gone_in_time(lambda: running(pid))


def test_nothing_is_left_when_the_driver_is_killed() -> None:
    driver = (
        "import memtun, sys, time\n"
        "net = memtun.Net()\n"
        "app = net.popen([sys.executable, sys.argv[1], 'tun0'], stdout=sys.stderr)\n"
        "net.interface('tun0', timeout=20)\n"
        "print(app.pid, net.path, flush=True)\n"
        "time.sleep(100)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", driver, str(ECHO)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        pid, path = process.stdout.readline().split()
        assert running(int(pid)) and Path(path).is_dir()
        process.send_signal(signal.SIGKILL)
    assert gone_in_time(lambda: running(int(pid)))
    assert gone_in_time(lambda: Path(path).exists())


def test_files_of_the_users_own_survive_the_end_of_a_net() -> None:
    net = m.Net()
    notes = net.path / "notes.txt"
    notes.write_text("precious")
    with pytest.raises(m.Error, match="notes.txt") as stays:
        net.close()
    assert stays.value.errno == errno.ENOTEMPTY
    assert [entry.name for entry in notes.parent.iterdir()] == ["notes.txt"]
    net.close()
    shutil.rmtree(net.path)


def test_files_of_the_users_own_survive_a_killed_driver() -> None:
    driver = (
        "import memtun, os\n"
        "net = memtun.Net()\n"
        "net.run(['true'])\n"
        "(net.path / 'notes.txt').write_text('precious')\n"
        "print(net.path, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", driver], stdout=subprocess.PIPE, text=True, env=environment)
    path = Path(done.stdout.strip())
    assert gone_in_time(lambda: [entry.name for entry in path.iterdir()] != ["notes.txt"])
    shutil.rmtree(path)


def test_a_forked_child_leaves_the_net_to_its_parent() -> None:
    with m.Net() as net:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                net.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert net.path.is_dir()
        assert net.interfaces() == []


def test_a_net_that_is_forgotten_goes() -> None:
    path = m.Net().path
    assert not path.exists()


def test_many_nets_at_once_do_not_disturb_each_other() -> None:
    def one(number: int) -> bytes:
        with m.Net() as net:
            net.popen([sys.executable, str(ECHO), "tun0"], stdout=subprocess.DEVNULL)
            tun = net.interface("tun0", timeout=60)
            answers = b""
            for turn in range(3):
                source = tun.send_udp(b"%d/%d " % (number, turn), ("10.0.0.1", 7), source=("10.0.1.1", 1000 + turn))
                answers += tun.receive_udp(*source).recv(timeout=60)
            return answers

    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(one, range(25)))
    assert answers == [b"%d/0 %d/1 %d/2 " % (n, n, n) for n in range(25)]


def test_the_error_of_an_interface_that_does_not_come_says_what_became_of_the_program(memtun: m.Net) -> None:
    program = memtun.popen([sys.executable, "-c", "raise SystemExit(3)"])
    program.wait(20)
    with pytest.raises(TimeoutError, match=r"no interface tun0 in time.*SystemExit.*exit status 3") as absent:
        memtun.interface("tun0", timeout=0.05)
    assert not isinstance(absent.value, m.EndedError)
    assert absent.value.errno == errno.ENODEV


def test_run_is_subprocess_run(memtun: m.Net) -> None:
    done = memtun.run(["sh", "-c", "echo $MEMTUN_NET; exit 4"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (4, f"{memtun.path}\n")
    with pytest.raises(subprocess.CalledProcessError):
        memtun.run(["false"], check=True)
    with pytest.raises(subprocess.TimeoutExpired):
        memtun.run(["sleep", "60"], timeout=0.1)


def test_the_environment_is_added_to(memtun: m.Net) -> None:
    given = {"A": "b", "LD_PRELOAD": "/lib/other.so /lib/libmemtun-like.so"}
    variables = memtun.environment(given, link="down", devices=["/dev/net/tun", "/dev/tun7"])
    library, *others = variables.pop("LD_PRELOAD").split(":")
    assert os.path.basename(library) == "libmemtun.so" and os.path.isfile(library)
    assert others == ["/lib/other.so", "/lib/libmemtun-like.so"]
    place = memtun.path.stat()
    assert variables.pop("MEMTUN_NET_PLACE") == f"{place.st_dev}:{place.st_ino}:{memtun.path}"
    assert variables == {
        "A": "b",
        "MEMTUN_NET": str(memtun.path),
        "MEMTUN_TREE": str(memtun.path),
        "MEMTUN_LINK": "down",
        "MEMTUN_DEVICES": "/dev/net/tun:/dev/tun7",
    }
    assert given == {"A": "b", "LD_PRELOAD": "/lib/other.so /lib/libmemtun-like.so"}


def test_a_net_is_joined_as_its_owners(tmp_path: Path) -> None:
    me = os.geteuid()
    with m.Net(tmp_path / "net", owner=me) as net:
        done = net.run(["sh", "-c", "echo $MEMTUN_NET_OWNER"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"{me}\n")
        with net.capture(tmp_path / "file.pcapng"):
            pass
    name = pwd.getpwuid(me).pw_name
    assert m.Net(tmp_path / "net", owner=name).environment()["MEMTUN_NET_OWNER"] == str(me)


def test_who_owns_a_net_is_not_told_to_programs_of_another() -> None:
    # This is the environment of a program under `memtun run --net DIR --owner USER`.
    with m.Net() as net:
        variables = net.environment({"MEMTUN_NET": "/home/user/net", "MEMTUN_NET_OWNER": "1234"})
    assert (variables["MEMTUN_NET"], variables["MEMTUN_NET_OWNER"]) == (str(net.path), "")


def test_owners_that_cannot_be(tmp_path: Path) -> None:
    for bad in ["no such user", "", "a\0b", -1, 0xFFFF_FFFF]:
        with pytest.raises(m.InvalidValueError, match="owner"):
            m.Net(tmp_path / "net", owner=bad)
    with pytest.raises(m.InvalidValueError, match="name the directory"):
        m.Net(owner=os.geteuid())
    with pytest.raises(TypeError, match="owner"):
        m.Net(tmp_path / "net", owner=1.5)


def test_link_and_devices_reach_the_program(echo) -> None:
    tun = echo(link="down", devices=["/dev/elsewhere"], env={**os.environ, "DEVICE": "/dev/elsewhere"})
    assert tun.info().state == "DOWN"


def test_the_driver_names_no_net_to_programs_that_it_starts_by_itself() -> None:
    code = "import memtun, os; memtun.Net(); os.execvp('env', ['env'])"
    variables = {k: v for k, v in os.environ.items() if not k.startswith("MEMTUN_NET")}
    variables["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    )
    assert "MEMTUN_NET=" not in done.stdout


def test_what_a_program_of_the_fixture_writes_is_kept(memtun: m.Net) -> None:
    program = memtun.popen(["sh", "-c", "echo out; echo err >&2"])
    program.wait(20)
    assert program.output == "out\nerr\n"
    program = memtun.popen(["echo", "mine"], stdout=subprocess.PIPE)
    assert program.communicate()[0] == b"mine\n" and program.output == ""


def test_a_directory_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"n\xffet \xc3\xa4")
    with m.Net(path) as net:
        assert net.path == path
        net.popen([sys.executable, str(ECHO), "tun0"], stdout=subprocess.DEVNULL)
        assert net.interface("tun0", timeout=20).name == "tun0"
