"""Every way to name a server: TLS and unix sockets for both drivers, and URLs that cannot work."""

from __future__ import annotations

import asyncio
import gc
import inspect
import re
import socket
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from hustlex.core.op import Effect, command
from hustlex.drivers import aio, blocking
from hustlex.drivers.address import parse_address
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.drivers.url import parse_url
from hustlex.errors import ConfigurationError, Denied, Refused, Unavailable
from tests.conftest import LONG
from tests.support import servers
from tests.support.answering import answering, silent
from tests.support.certificates import self_signed
from tests.support.proxy import Proxy

DRIVERS = {"aio": aio.Driver, "blocking": blocking.Driver}
PING = command("test.ping", Effect.READ, "PING", decode=bytes)


async def ping(kind: str, url: str, patience: timedelta | None = LONG) -> bytes:
    driver: Any = DRIVERS[kind](url, timeout=patience)
    try:
        if inspect.iscoroutinefunction(driver.run):
            answer: bytes = await driver.run(PING)
            return answer
        return await asyncio.to_thread(driver.run, PING)
    finally:
        closed = driver.close()
        if closed is not None:
            await closed
            await asyncio.sleep(0)  # asyncio closes the socket of a failed TLS handshake in its next turn


@pytest.fixture(scope="module")
def tls_server() -> Iterator[tuple[str, Path]]:
    """The URL of a server that speaks TLS, and its certificate."""
    with servers.started("redis7tls") as server:
        url, _, certificate = server.url.partition("?ssl_ca_certs=")
        yield url, Path(certificate)


@pytest.mark.parametrize("kind", DRIVERS)
async def test_tls_with_the_right_authority(kind: str, tls_server: tuple[str, Path]) -> None:
    url, certificate = tls_server
    assert await ping(kind, f"{url}?ssl_ca_certs={certificate}") == b"PONG"
    assert await ping(kind, f"{url}?insecure=1") == b"PONG"


def peer_port(link: socket.socket) -> int:
    """0 = it is connected to nobody."""
    try:
        return int(link.getpeername()[1])
    except OSError:
        return 0


async def test_what_was_closed_waits_for_no_farewell(tls_server: tuple[str, Path]) -> None:
    """The socket is closed when ``close`` returns, whatever the server does: the loop may end at once."""
    url, certificate = tls_server
    with Proxy(url) as between:
        driver = aio.Driver(f"{between.url}?ssl_ca_certs={certificate}", timeout=LONG)
        await driver.run(PING)
        opened = [each for each in gc.get_objects() if type(each) is socket.socket and each.fileno() != -1]
        (link,) = [each for each in opened if each.family is socket.AF_INET and peer_port(each) == between.port]
        between.black_hole = True
        await driver.close()
        assert link.fileno() == -1


@pytest.mark.parametrize("kind", DRIVERS)
async def test_an_unknown_certificate_is_refused_and_named(kind: str, tls_server: tuple[str, Path]) -> None:
    with pytest.raises(ConfigurationError, match="certificate cannot be verified"):
        await ping(kind, tls_server[0])


@pytest.mark.parametrize("kind", DRIVERS)
@pytest.mark.parametrize(
    ("days", "address", "words"),
    [
        ((-9, -3), "127.0.0.1", "certificate has expired"),
        ((3, 9), "127.0.0.1", "certificate is not valid yet"),
        ((-1, 1), "127.0.0.2", "certificate is for another host"),
    ],
)
async def test_a_certificate_that_does_not_do_says_why(
    kind: str, tmp_path: Path, days: tuple[int, int], address: str, words: str
) -> None:
    certificate, key = self_signed(tmp_path, days=days, address=address)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    async with answering(silent, ssl=context) as port:
        with pytest.raises(ConfigurationError, match=words):
            await ping(kind, f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}")


@pytest.mark.parametrize("kind", DRIVERS)
async def test_a_server_without_tls_is_named(kind: str) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"-ERR Protocol error\r\n")
        writer.close()

    async with answering(plain) as port:
        with pytest.raises(ConfigurationError, match="does not speak TLS"):
            await ping(kind, f"rediss://127.0.0.1:{port}")


@pytest.mark.parametrize("kind", DRIVERS)
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("ssl_ca_certs={0}/none.pem", "ssl_ca_certs: .*none.pem cannot be read: No such file"),
        ("ssl_ca_certs={0}", "ssl_ca_certs: .* cannot be read: Is a directory"),
        ("ssl_ca_certs={0}/empty.pem", "empty.pem holds no certificate"),
        ("ssl_certfile={0}/empty.pem", "empty.pem holds no certificate with an unencrypted key"),
    ],
)
def test_files_that_a_url_names_are_looked_at_at_once(kind: str, tmp_path: Path, query: str, words: str) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(ConfigurationError, match=words):
        DRIVERS[kind]("rediss://host?" + query.format(tmp_path))


@pytest.mark.parametrize("kind", DRIVERS)
async def test_a_user_without_password_is_sent(kind: str, server: EmbeddedServer, raw: redis.Redis) -> None:
    raw.acl_setuser("open", enabled=True, nopass=True, commands=["+ping", "+client"])
    try:
        for account in ("open", "open:", "%6fpen"):
            assert await ping(kind, f"redis://{account}@127.0.0.1:{server.port}") == b"PONG"
    finally:
        raw.acl_deluser("open")


@pytest.mark.parametrize("kind", DRIVERS)
@pytest.mark.parametrize(("account", "words"), [("", "NOAUTH.*wants a password"), (":wrong@", "WRONGPASS.*is wrong")])
async def test_a_missing_password_is_not_a_wrong_one(
    kind: str, server: EmbeddedServer, account: str, words: str
) -> None:
    with pytest.raises(Denied, match=words):
        await ping(kind, f"redis://{account}127.0.0.1:{server.port}")


@pytest.mark.parametrize("kind", DRIVERS)
async def test_a_database_that_is_not_there_is_named(kind: str, server: EmbeddedServer) -> None:
    with pytest.raises(ConfigurationError, match="no database of the URL's number"):
        await ping(kind, server.url.removesuffix("/0") + "/9999")


@pytest.mark.parametrize("kind", DRIVERS)
async def test_a_server_full_of_clients_is_named(kind: str) -> None:
    async def full(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR max number of clients reached\r\n")
        writer.close()

    async with answering(full) as port:
        with pytest.raises(Refused, match=r"no connection left for us \(maxclients\)"):
            await ping(kind, f"redis://127.0.0.1:{port}", None)


@pytest.mark.parametrize("kind", DRIVERS)
async def test_unix_sockets(kind: str, server: EmbeddedServer) -> None:
    assert await ping(kind, server.socket_url) == b"PONG"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "scheme"),
        ("localhost:6379", "scheme"),
        ("http://localhost", "scheme"),
        ("redis://", "no host"),
        ("redis://host:70000", "port"),
        ("redis://host:x", "port"),
        ("redis://host/one", "database"),
        ("redis://host/0?timeout=1", "unknown option: timeout"),
        ("unix://", "socket path"),
        ("redis+cluster://", "no host"),
        ("redis+cluster://,", "no host"),
        ("redis+cluster://one,,two", "empty place in its list"),
        ("redis+cluster://u:p@one,v:p@two", "account at several hosts"),
        ("redis+sentinel://u:p@one,two,v@three/main", "account at several hosts"),
        ("redis+sentinel://one/%20/0", "does not say which server"),
        ("redis+sentinel://one/ma%0ain", "does not say which server"),
        ("redis+sentinel://one/ma%00in/0", "does not say which server"),
        ("redis+cluster://one,two/1", "only number 0"),
        ("redis+cluster://one:x", "port"),
        ("redis+cluster://one;two", "can be no host's name"),
        ("redis+sentinel://host", "which server the Sentinels"),
        ("redis+sentinel://host//0", "which server the Sentinels"),
        ("redis+sentinel:///name", "no host"),
        ("redis+sentinel://host/name/x", "database"),
        ("redis+sentinel://host/na%zzme", "'%'"),
        ("redis+sentinel://host/name?sentinel_password=%zz", "sentinel_password with a '%'"),
        ("redis+sentinel://host/name?password=x", "unknown option: password"),
        ("redis+ring://host", "no scheme"),
        (None, "no text"),
        (b"redis://host", "no text"),
        ("redis://host:0", "from 1 to 65535"),
        ("redis://host:-1", "port"),
        ("redis://host:٣", "port"),
        ("redis://host/0#x", "'#'"),
        ("redis://:pa#ss@host", "'#'.*%23"),
        ("redis://:pa/ss@host", "'@' after the host.*%2F"),
        ("redis://:pa?ss@host", "'@' after the host"),
        ("redis://:pa%zz@host", "password with a '%'.*%25"),
        ("redis://:100%@host", "password with a '%'"),
        ("redis://us%er@host", "user name with a '%'"),
        ("redis://:%ff@host", "password that is not UTF-8"),
        ("redis://[::1", "cannot be read"),
        ("redis://::1:6379", "in brackets"),
        ("redis://a..b", "can be no host's name"),
        ("redis://one,two", r"several hosts.*redis\+cluster://"),
        ("redis://:p@one:6379,two:6380/0", "several hosts"),
        ("redis://one;two/0", "can be no host's name"),
        ("redis://pa$$word", "can be no host's name"),
        ("redis://:pa@ss&word:6379", "can be no host's name"),
        ("redis://host=1", "can be no host's name"),
        ("redis://host/0\n", "blank or a control"),
        ("redis://my host", "blank"),
        ("redis://host/1?db=2", "twice"),
        ("redis://host?db=1&db=2", "db twice"),
        ("redis://host?db=", "db without a value"),
        ("redis://host?db", "db without a value"),
        ("redis://host/99999999999", "database"),
        ("redis://host?ssl_ca_certs=/x", "ssl_ca_certs, but no TLS"),
        ("rediss://host?ssl_keyfile=/x", "without ssl_certfile"),
        ("rediss://host?insecure=maybe", "neither 1 nor 0"),
        ("unix://run/redis.sock", "not absolute"),
        ("unix:run/redis.sock", "scheme"),
        ("unix:///" + "x" * 120, "107 bytes"),
    ],
)
def test_a_url_that_cannot_work_says_why(url: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parse_address(url)


def test_a_password_never_shows() -> None:
    endpoint = parse_url("rediss://user:s3cret@host:6380/2")
    assert "s3cret" not in repr(endpoint)
    assert (endpoint.host, endpoint.port, endpoint.database, endpoint.tls) == ("host", 6380, 2, True)
    assert (endpoint.username, endpoint.password) == ("user", "s3cret")
    assert str(parse_url("redis://u:a%40b:c@d@[::1]:7").password) == "a@b:c@d"
    assert parse_url("redis://[::1]").where == "[::1]:6379"
    assert parse_url("unix://u:p@/run/a@b.sock").path == "/run/a@b.sock"


@pytest.mark.parametrize("kind", DRIVERS)
def test_no_attribute_of_a_driver_shows_a_password(kind: str) -> None:
    """What a debugger, a report of an error or a log of ``vars`` walks through."""
    shown, ahead, seen = [], [DRIVERS[kind]("redis://user:hunter2@127.0.0.1:1/0")], set()
    while ahead:
        one = ahead.pop()
        ahead += [getattr(one, name) for name in getattr(one, "__struct_fields__", ())]
        if id(one) in seen or not hasattr(one, "__dict__") or isinstance(one, type):
            continue
        seen.add(id(one))
        shown.append(f"{one!r} {vars(one)!r}")
        ahead += vars(one).values()
    assert len(shown) > 3
    assert not [text for text in shown if "hunter2" in text]


SECRET = "hunter2"
_PIECES = st.sampled_from(
    [
        "redis://",
        "rediss://",
        "unix://",
        "redis+cluster://",
        "redis+sentinel://",
        "sentinel_password",
        ",",
        "://",
        ":",
        "@",
        "/",
        "?",
        "#",
        "&",
        "=",
        "%",
        "%4",
        "[",
        "]",
    ]
    + ["%00", "%ff", "host", "6379", "db", "ssl_ca_certs", "insecure", " ", "\n", "é", "\ud800", "..", SECRET]
)


@given(st.lists(_PIECES, max_size=12), st.integers(0, 12))
def test_any_url_is_a_value_or_one_sentence_without_the_secret(pieces: list[str], at: int) -> None:
    url = "".join([*pieces[:at], SECRET, *pieces[at:]])
    try:
        address = parse_address(url)
    except ConfigurationError as error:
        chain: BaseException | None = error
        while chain is not None:
            assert SECRET not in f"{chain} {chain!r}"
            chain = chain.__cause__ or chain.__context__
    else:
        endpoints = address.sentinels or address.servers
        assert all(each.path or (each.host and 1 <= each.port <= 65_535) for each in endpoints)
        if SECRET not in address.where + address.service:
            assert SECRET not in repr(address)


@pytest.mark.parametrize("kind", DRIVERS)
@pytest.mark.parametrize("secret", ["p@ss:word", "%70%40%3Ass", "a:b", "x%2Fy"])
async def test_no_error_of_a_link_shows_a_password(kind: str, secret: str) -> None:
    for place in ("127.0.0.1:1", "no-such-host.invalid:6379"):
        with pytest.raises(Unavailable) as caught:
            await ping(kind, f"redis://user:{secret}@{place}", None)
        assert not {secret, unquote(secret), "user"} & set(re.split(r"[ @:/]", str(caught.value)))
        assert secret not in str(caught.value)
        assert unquote(secret) not in str(caught.value)
