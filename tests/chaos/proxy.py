"""A TCP proxy of our own between a client and a server, which can cut, delay and swallow what it carries."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
CHUNK_BYTES = 64 * 1024
UP, DOWN = "up", "down"  # from the client to the server, and back
BOTH = (UP, DOWN)


@dataclass
class Direction:
    """What happens to the bytes of one direction: how long each chunk is held back, and whether any passes at all."""

    delay_s: float = 0.0
    open: asyncio.Event = field(default_factory=asyncio.Event)


class Network:
    """The event loop, in a thread of its own, in which all proxies of a stage live; use it as a context manager."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="network", daemon=True)

    def __enter__(self) -> Network:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._end_all)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that runs in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def do(self, act: Callable[[], object]) -> None:
        """Does something in the loop and waits until it is done."""

        async def work() -> None:
            act()
            await asyncio.sleep(0)

        self.run(work())

    def _end_all(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            if task is not asyncio.current_task(self.loop):
                task.cancel()


class Proxy:
    """Listens on a loopback port and carries every connection to `host:target`. All methods may be called from any thread.

    Bytes that a hole has swallowed come out when it closes, as TCP would send them again: also those of clients who have given up meanwhile.
    """

    def __init__(self, network: Network, target: int, host: str = "127.0.0.1") -> None:
        self._network, self._target, self._host = network, target, host
        self._directions = {UP: Direction(), DOWN: Direction()}
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter | None]] = set()
        for direction in self._directions.values():
            direction.open.set()
        self._server = network.run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def connections(self) -> int:
        """How many connections it carries."""
        return len(self._links)

    def close(self) -> None:
        """Ends all connections and listens no more."""
        self._network.do(self._server.close)
        self.cut()

    def cut(self) -> None:
        """Resets every connection (RST), on both sides."""

        def act() -> None:
            for link in list(self._links):
                for writer in link:
                    _reset(writer)

        self._network.do(act)

    def slow(self, delay_s: float, directions: tuple[str, ...] = BOTH) -> None:
        """Holds back every chunk for `delay_s`; 0 heals."""
        for name in directions:
            self._directions[name].delay_s = delay_s

    def swallow(self, directions: tuple[str, ...] = BOTH) -> None:
        """A black hole: connections stand and new ones are accepted, but nothing passes."""
        self._let(False, directions)

    def heal(self) -> None:
        """Carries everything at once again, also what it kept."""
        self.slow(0.0)
        self._let(True, BOTH)

    def _let(self, passing: bool, directions: tuple[str, ...]) -> None:
        def act() -> None:
            for name in directions:
                (self._directions[name].open.set if passing else self._directions[name].open.clear)()

        self._network.do(act)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        waiting: tuple[asyncio.StreamWriter, asyncio.StreamWriter | None] = (to_client, None)
        self._links.add(waiting)
        try:
            await self._directions[UP].open.wait()
            server, to_server = await asyncio.open_connection(self._host, self._target)
        except OSError:
            _reset(to_client)
            return
        finally:
            self._links.discard(waiting)
        link = (to_client, to_server)
        self._links.add(link)
        try:
            await asyncio.gather(self._carry(UP, client, to_server), self._carry(DOWN, server, to_client))
        finally:
            self._links.discard(link)
            for writer in (to_client, to_server):
                writer.close()

    async def _carry(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        direction = self._directions[name]
        try:
            while data := await reader.read(CHUNK_BYTES):
                if direction.delay_s:
                    await asyncio.sleep(direction.delay_s)
                await direction.open.wait()
                writer.write(data)
                await writer.drain()
            await direction.open.wait()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            _reset(writer)


def _reset(writer: asyncio.StreamWriter | None) -> None:
    """Ends a connection with RST instead of FIN."""
    if writer is None:
        return
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None and not writer.transport.is_closing():
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # it is closed already
    writer.transport.abort()
