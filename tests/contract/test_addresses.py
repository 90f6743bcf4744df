"""Every way to name a server: TLS and unix sockets for both drivers, and URLs that cannot work."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hustlex.core.op import Effect, command
from hustlex.drivers import aio, blocking
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.drivers.url import parse_url
from hustlex.errors import ConfigurationError
from tests.support import servers

DRIVERS = {"aio": aio.Driver, "blocking": blocking.Driver}
PING = command("test.ping", Effect.READ, "PING", decode=bytes)


async def ping(kind: str, url: str) -> bytes:
    driver: Any = DRIVERS[kind](url)
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
            await asyncio.sleep(0)


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test server")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "server.crt", folder / "server.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(*encoding))
    return paths


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of a server that speaks TLS, and its certificate. Only Debian's build has TLS."""
    certificate, key = self_signed(tmp_path_factory.mktemp("tls"))
    options = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no"]
    probe = EmbeddedServer(binary=servers.binary("redis7"))
    with probe:
        port = probe.port
    server = EmbeddedServer(binary=servers.binary("redis7"), extra_args=["--tls-port", str(port), *options])
    with server:
        account = server.url.split("@")[0].replace("redis://", "rediss://")
        yield f"{account}@127.0.0.1:{port}/0", certificate


@pytest.mark.parametrize("kind", DRIVERS)
async def test_tls_with_the_right_authority(kind: str, tls_server: tuple[str, Path]) -> None:
    url, certificate = tls_server
    assert await ping(kind, f"{url}?ssl_ca_certs={certificate}") == b"PONG"
    assert await ping(kind, f"{url}?insecure=1") == b"PONG"


@pytest.mark.parametrize("kind", DRIVERS)
async def test_an_unknown_certificate_is_refused_and_named(kind: str, tls_server: tuple[str, Path]) -> None:
    with pytest.raises(ConfigurationError, match="certificate cannot be verified"):
        await ping(kind, tls_server[0])


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
        ("redis://host/0?timeout=1", "unknown options: timeout"),
        ("unix://", "socket path"),
        ("redis+sentinel://host/name", "Sentinel"),
        ("redis+cluster://host", "Cluster"),
    ],
)
def test_a_url_that_cannot_work_says_why(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parse_url(url)


def test_a_password_never_shows() -> None:
    endpoint = parse_url("rediss://user:s3cret@host:6380/2")
    assert "s3cret" not in repr(endpoint)
    assert (endpoint.host, endpoint.port, endpoint.database, endpoint.tls) == ("host", 6380, 2, True)
    assert (endpoint.username, endpoint.password) == ("user", "s3cret")
