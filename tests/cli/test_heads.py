"""What a request to ``hustlex api`` begins with, by both of uvicorn's parsers: how long it may be, and what is none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from itertools import repeat

import pytest

from tests.cli.test_api import serving

ECHO = """
from fastapi import FastAPI, Request

app = FastAPI()

@app.api_route("/{path:path}", methods=["GET", "POST"])
async def echo(request: Request) -> dict[str, int]:
    return {"body": len(await request.body()), "fields": len(request.headers.raw)}
"""
PIECE = 4096
MOST = 4 * 1024 * 1024
"""Bytes that a server may take of what never ends: a hundred times its bound and the system's buffers."""
POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "a path": (b"GET /", b"x" * PIECE),
    "a query": (b"GET /?", b"x=1&" * (PIECE // 4)),
    "one field": (b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: ", b"x" * PIECE),
    "a field's name": (b"GET / HTTP/1.1\r\nHost: a\r\n", b"x" * PIECE),
    "many fields": (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-A: b\r\n" * (PIECE // 8)),
    "a method": (b"", b"G" * PIECE),
    "empty lines": (b"", b"\r\n" * (PIECE // 2)),
    "a chunk's extension": (POST + b"4;", b"x" * PIECE),
    "fields behind a body": (POST + b"4\r\nbody\r\n0\r\n", b"X-A: b\r\n" * (PIECE // 8)),
    "one field behind a body": (POST + b"4\r\nbody\r\n0\r\nX-Long: ", b"x" * PIECE),
}
BROKEN = [
    b"\r\n\r\n\x00",
    b"GET\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA B: c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nA: \x00\r\n\r\n",
    b"GET \xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, wrong\r\n\r\n",
]


@pytest.fixture(scope="module", params=["httptools", "h11"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    place = tmp_path_factory.mktemp(request.param)
    if request.param == "h11":  # as if httptools were not installed
        (place / "httptools.py").write_text("raise ImportError")
    with serving(place, "--header-timeout", "600", text=ECHO) as (served, _):
        yield served


def taken(link: socket.socket, first: bytes, rest: Iterator[bytes]) -> int:
    """Bytes that went out before the server hung up."""
    sent = 0
    try:
        link.sendall(first)
        for piece in rest:
            if sent > MOST:
                break
            link.sendall(piece)
            sent += len(piece)
    except ConnectionError:
        pass
    return sent


def said(port: int, request: bytes, *, ended: bool = False) -> bytes:
    """All that comes back until the server hangs up. ended: the client says that nothing more will come."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as link:
        link.sendall(request)
        if ended:
            link.shutdown(socket.SHUT_WR)
        found = b""
        try:
            while piece := link.recv(65536):
                found += piece
        except ConnectionError:
            pass
        return found


def request(padding: int, more: bytes = b"") -> bytes:
    """A whole one, whose head is so many bytes longer."""
    return b"GET / HTTP/1.1\r\nHost: a\r\nX-Pad: " + b"x" * padding + b"\r\n" + more + b"\r\n"


@pytest.mark.timeout(450)
@pytest.mark.parametrize("kind", ENDLESS)
def test_what_never_ends_is_not_gathered(port: int, kind: str) -> None:
    first, piece = ENDLESS[kind]
    with closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        assert taken(link, first, repeat(piece)) <= MOST


@pytest.mark.timeout(450)
def test_long_heads_of_one_connection_are_served_each_by_itself(port: int) -> None:
    answers = said(port, request(12_000) + request(12_000) + request(12_000, b"Connection: close\r\n"))
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert said(port, request(20_000, b"Connection: close\r\n")[:17_000]).startswith(b"HTTP/1.1 400")


@pytest.mark.timeout(450)
@pytest.mark.parametrize("size", [1, 4096])
def test_a_long_body_is_none_of_it(port: int, size: int) -> None:
    count = 40_000 // size + 10
    chunks = (b"%x\r\n" % size + b"x" * size + b"\r\n") * count + b"0\r\n\r\n"
    assert b'{"body":%d,' % (size * count) in said(port, POST.replace(b"Host", b"Connection: close\r\nHost") + chunks)
    whole = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000
    assert b'{"body":2000000,' in said(port, whole)


@pytest.mark.timeout(450)
def test_what_is_no_request_is_refused_and_no_failure(port: int) -> None:
    for broken in BROKEN:
        answer = said(port, broken, ended=True)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400"), broken
    assert said(port, request(1, b"Connection: close\r\n")).startswith(b"HTTP/1.1 200")
