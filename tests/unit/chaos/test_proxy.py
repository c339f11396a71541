"""The proxy, between real sockets: it carries, and cuts, delays and swallows when told to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from chaos.proxy import DOWN, UP, Network, Proxy
from support.processes import eventually


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says again what it is told, and notes it."""
    server = socket.create_server(("127.0.0.1", 0))

    def talk(link: socket.socket) -> None:
        with link:
            try:
                while data := link.recv(65536):
                    link.sendall(data)
            except OSError:
                pass

    def serve() -> None:
        try:
            while True:
                threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Network() as network:
        yield Proxy(network, echo)


def connected(proxy: Proxy, timeout_s: float = 5.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout_s)


def whole(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += link.recv(65536)
    return data


def test_it_carries_both_ways_however_much(proxy: Proxy) -> None:
    sent = bytes(range(256)) * 4000
    with connected(proxy) as link:
        threading.Thread(target=link.sendall, args=(sent,), daemon=True).start()
        assert whole(link, len(sent)) == sent
        link.shutdown(socket.SHUT_WR)
        assert link.recv(1) == b""
    eventually(lambda: proxy.connections == 0, what="no connection is left")


def test_a_cut_resets_what_is_connected_and_leaves_new_connections_alone(proxy: Proxy) -> None:
    with connected(proxy) as link:
        link.sendall(b"one")
        assert whole(link, 3) == b"one"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            link.recv(1)
    with connected(proxy) as link:
        link.sendall(b"two")
        assert whole(link, 3) == b"two"


def test_a_delay_holds_back_one_direction(proxy: Proxy) -> None:
    with connected(proxy) as link:
        proxy.slow(0.3, (DOWN,))
        began = time.monotonic()
        link.sendall(b"late")
        assert whole(link, 4) == b"late"
        assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("directions", [(UP,), (DOWN,), (UP, DOWN)])
def test_a_hole_swallows_until_it_is_healed_and_then_gives_back(proxy: Proxy, directions: tuple[str, ...]) -> None:
    with connected(proxy) as link:
        link.sendall(b"before")
        assert whole(link, 6) == b"before"
        proxy.swallow(directions)
        link.sendall(b"meanwhile")
        link.settimeout(0.2)
        with pytest.raises(TimeoutError):
            link.recv(1)
        link.settimeout(5)
        proxy.heal()
        assert whole(link, 9) == b"meanwhile"


def test_a_hole_accepts_new_connections(proxy: Proxy) -> None:
    proxy.swallow()
    with connected(proxy) as link:
        link.sendall(b"anyone?")
        link.settimeout(0.2)
        with pytest.raises(TimeoutError):
            link.recv(1)
        link.settimeout(5)
        proxy.heal()
        assert whole(link, 7) == b"anyone?"


def test_a_server_that_is_away_ends_connections(proxy: Proxy, echo: int) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = unused.getsockname()[1]
    with Network() as network:
        away = Proxy(network, nowhere)
        with pytest.raises(ConnectionError), connected(away) as link:  # it may be cut before it is read from
            link.recv(1)
