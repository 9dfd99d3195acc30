"""The other end of the interop tests in Python: `websockets` in both roles.

The protocol on standard input and output is told in foreign_test.go.
"""
import asyncio
import os
import ssl
import sys
import warnings

import websockets
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

# Later versions also have another API; this one is in all of them.
warnings.simplefilter("ignore", DeprecationWarning)
from websockets.legacy.client import WebSocketClientProtocol, connect  # noqa: E402
from websockets.legacy.server import WebSocketServerProtocol, serve  # noqa: E402

connections = {}
servers = {}
accepted = 0
tasks = set()


def tell(op, id, payload=b"", **fields):
    if isinstance(payload, str):
        payload = payload.encode()
    fields = {"op": op, "id": id, **fields, "size": len(payload)}
    line = "\t".join(f"{key}={value}" for key, value in fields.items())
    sys.stdout.buffer.write(line.encode() + b"\n" + payload)
    sys.stdout.buffer.flush()


class TellsPings:
    """Tells of the pings that it answers."""

    id = None
    early = ()

    async def pong(self, data=b""):
        if self.id is None:
            self.early = (*self.early, bytes(data))
        else:
            tell("ping", self.id, bytes(data))
        await super().pong(data)

    def named(self, id, **fields):
        self.id = id
        connections[id] = self
        protocol = self.subprotocol or ""
        extensions = ", ".join(str(e) for e in self.extensions)
        tell("open", id, protocol=protocol, extensions=extensions, **fields)
        for data in self.early:
            tell("ping", id, data)


class Client(TellsPings, WebSocketClientProtocol):
    pass


class Server(TellsPings, WebSocketServerProtocol):
    pass


def deflate(factory, text):
    """Gives the setting that stands for the parameters of an offer or an answer."""
    if text is None:
        return None
    parameters = {}
    for parameter in filter(None, (p.strip() for p in text.split(";"))):
        if parameter != "permessage-deflate":
            name, _, value = parameter.partition("=")
            parameters[name] = int(value) if value else True
    return [factory(**parameters)]


def names(text):
    return text.split(",") if text else None


async def read(conn):
    try:
        async for message in conn:
            tell("text" if isinstance(message, str) else "binary", conn.id, message)
        await conn.wait_closed()
        await conn.recv()
    except websockets.ConnectionClosed as end:
        if end.rcvd is None:
            tell("error", conn.id, repr(end))
        else:
            tell("close", conn.id, end.rcvd.reason, code=int(end.rcvd.code))
    finally:
        connections.pop(conn.id, None)


settings = dict(compression=None, max_size=None, ping_interval=None)


async def do_listen(id, secure=None, protocols="", deflate_=None, **_):
    async def handle(conn):
        global accepted
        accepted += 1
        conn.named(f"accepted{accepted}", listener=id)
        await read(conn)

    context = None
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.environ["PEER_CERT"], os.environ["PEER_KEY"])
    server = await serve(
        handle, "127.0.0.1", 0, ssl=context, subprotocols=names(protocols), create_protocol=Server,
        extensions=deflate(ServerPerMessageDeflateFactory, deflate_), **settings)
    servers[id] = server
    tell("listening", id, port=server.sockets[0].getsockname()[1])


async def do_stop(id, **_):
    servers.pop(id).close()


async def do_dial(id, url, protocols="", deflate_=None, **_):
    context = None
    if url.startswith("wss:"):
        context = ssl.create_default_context(cafile=os.environ["PEER_CERT"])
    conn = await connect(
        url, ssl=context, subprotocols=names(protocols), create_protocol=Client,
        extensions=deflate(ClientPerMessageDeflateFactory, deflate_), **settings)
    conn.named(id)
    await read(conn)


def pieces(data, binary, size):
    """Cuts a message, text between characters only."""
    while data:
        end = min(size, len(data))
        while not binary and end < len(data) and data[end] & 0xC0 == 0x80:
            end += 1
        yield data[:end] if binary else data[:end].decode()
        data = data[end:]


async def do_write(id, payload, binary="", fragment="0", **_):
    if payload and int(fragment):
        await connections[id].send(pieces(payload, bool(binary), int(fragment)))
    else:
        await connections[id].send(payload if binary else payload.decode())
    tell("written", id)


async def do_ping(id, payload, **_):
    pong = await connections[id].ping(payload)
    pong.add_done_callback(lambda f: f.cancelled() or f.exception() or tell("pong", id, payload))


async def do_close(id, code, payload, **_):
    await connections[id].close(int(code), payload.decode())


async def do_drop(id, **_):
    if id in connections:
        connections[id].transport.abort()


async def obey(op, id, **fields):
    try:
        await globals()["do_" + op](id, **fields)
    except Exception as error:
        tell("failed", id, repr(error))


async def main():
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    tell("hello", 0, version=f"Python {sys.version.split()[0]}, websockets {websockets.version.version}")
    while line := await stdin.readline():
        command = dict(field.split("=", 1) for field in line.decode().rstrip("\n").split("\t"))
        command["payload"] = await stdin.readexactly(int(command.pop("size")))
        if "deflate" in command:
            command["deflate_"] = command.pop("deflate")
        task = loop.create_task(obey(**command))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    # The tests have ended, in whatever way.
    os._exit(0)


asyncio.run(main())
