"""Streams, datagrams, many at once, timeouts, refusals: server ADDRESS... or client ADDRESS."""
import asyncio
import sys


async def serve(reader, writer):
    while line := await reader.readline():
        if line == b"names\n":
            line = f"{writer.get_extra_info('peername')[0]} {writer.get_extra_info('sockname')[:2]}\n".encode()
        elif line == b"much\n":
            line = b"m" * 3_000_000 + b"\n"
        writer.write(line)
        await writer.drain()
    writer.close()


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data.upper(), address)


class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.got = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, address):
        self.got.done() or self.got.set_result((data, address[0]))

    def error_received(self, error):
        self.got.done() or self.got.set_exception(error)


async def server(addresses):
    streams = await asyncio.start_server(serve, addresses, 8888, limit=2**22)
    loop = asyncio.get_running_loop()
    for at in addresses:
        await loop.create_datagram_endpoint(Echo, (at, 8889))
    print("serving", flush=True)
    await streams.serve_forever()


async def one(at, number):
    reader, writer = await asyncio.open_connection(at, 8888, limit=2**22)
    writer.write(f"number {number}\n".encode())
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line == f"number {number}\n".encode()


async def client(at):
    reader, writer = await asyncio.open_connection(at, 8888, limit=2**22)
    for what in ("names", "much"):
        writer.write(what.encode() + b"\n")
        line = await reader.readline()
        print(what, line.decode().strip() if len(line) < 100 else len(line))
    writer.write_eof()
    print("end", await reader.read())
    writer.close()
    got = await asyncio.gather(*(one(at, number) for number in range(200)))
    print("200 at once", sum(got))
    loop = asyncio.get_running_loop()
    for port in (8889, 8890):
        transport, protocol = await loop.create_datagram_endpoint(Client, remote_addr=(at, port))
        # One may be lost where a queue is full.
        for _ in range(8):
            transport.sendto(b"datagram")
            if (await asyncio.wait([protocol.got], timeout=1))[0]:
                break
        try:
            print("datagram", await asyncio.wait_for(protocol.got, 0.1))
        except OSError as error:
            print("datagram", error)
        transport.close()
    try:
        await asyncio.open_connection(at, 8891)
    except OSError as error:
        print("refused", type(error).__name__)
    try:
        await asyncio.wait_for(asyncio.open_connection(at[:-1] + "77", 8888), 0.3)
    except (OSError, TimeoutError) as error:
        print("nobody there", isinstance(error, (asyncio.TimeoutError, OSError)))


asyncio.run(server(sys.argv[2:]) if sys.argv[1] == "server" else client(sys.argv[2]))
