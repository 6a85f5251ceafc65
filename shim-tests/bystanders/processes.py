"""Subprocesses, pools, sockets, selectors and asyncio: what CPython does with descriptors."""
import asyncio
import fcntl
import multiprocessing
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading


def square(n):
    return n * n


def pools():
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(3) as pool:
            print(method, pool.map(square, range(10)))


def subprocesses():
    print(subprocess.run(["cat"], input=b"through cat", capture_output=True).stdout)
    print(subprocess.run("echo $((40 + 2)); exit 7", shell=True, capture_output=True))
    print(subprocess.run(["true"], env={}).returncode)
    print(subprocess.run(["ls", "/proc/self/fd"], close_fds=True, capture_output=True).stdout)
    read, write = os.pipe()
    with subprocess.Popen(["sh", "-c", f"echo inherited >&{write}"], pass_fds=[write]):
        os.close(write)
        print(os.read(read, 100))
    os.close(read)
    try:
        subprocess.run(["/no/such/program"])
    except FileNotFoundError as error:
        print(error)
    print(os.system("exit 3"), os.popen("echo popen").read())
    pid = os.posix_spawnp("sh", ["sh", "-c", "exit 5"], os.environ)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def descriptors():
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789")
        file.flush()
        fd = file.fileno()
        print(os.pread(fd, 4, 3), os.readv(fd, [bytearray(2)]), os.lseek(fd, 0, os.SEEK_SET))
        copy = os.dup(fd)
        fixed = os.dup2(fd, 99)
        print(os.read(copy, 3), os.read(fixed, 3), os.get_inheritable(copy))
        os.closerange(90, 120)
        try:
            os.read(fixed, 1)
        except OSError as error:
            print(error)
        print(oct(fcntl.fcntl(copy, fcntl.F_GETFL) & os.O_ACCMODE), os.writev(copy, [b"a", b"b"]))
        os.close(copy)
    for call in (lambda: os.read(-1, 1), lambda: os.close(12345), lambda: fcntl.ioctl(0, 0x400454CA, bytes(40))):
        try:
            call()
        except OSError as error:
            print(error)


def sockets():
    left, right = socket.socketpair()
    socket.send_fds(left, [b"an fd"], [right.fileno()])
    message, fds, _, _ = socket.recv_fds(right, 100, 4)
    os.write(fds[0], b"through the received one")
    print(message, left.recv(100))
    selector = selectors.DefaultSelector()
    selector.register(right, selectors.EVENT_READ)
    threading.Timer(0.05, left.send, [b"woken"]).start()
    print([key.fileobj is right for key, _ in selector.select(5)], right.recv(100))
    print(socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)[0][4])
    print([name for _, name in socket.if_nameindex() if name == "lo"], socket.if_nametoindex("lo"))


async def loop():
    process = await asyncio.create_subprocess_exec("tr", "a-z", "A-Z", stdin=-1, stdout=-1)
    print((await process.communicate(b"asyncio"))[0])
    server = await asyncio.start_server(lambda r, w: w.write(b"hello") or w.close(), "127.0.0.1")
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    print(await reader.read())
    writer.close()
    server.close()


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("too slow"))
    signal.alarm(60)
    for part in (pools, subprocesses, descriptors, sockets):
        part()
        sys.stdout.flush()
    asyncio.run(loop())
    child = os.fork()
    if child == 0:
        print("in the child", flush=True)
        os._exit(4)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
