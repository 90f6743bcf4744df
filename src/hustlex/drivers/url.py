"""Where the server is: one URL, parsed and checked before anything is opened."""

from __future__ import annotations

import ssl
from urllib.parse import ParseResult, parse_qs, unquote, urlparse

import msgspec

from hustlex.errors import ConfigurationError

_EXAMPLE = "use redis://host:6379/0, rediss://host:6380/0 or unix:///path/to/socket"
_TCP = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_PLANNED = {"redis+sentinel": "Sentinel", "redis+cluster": "Cluster"}
_DEFAULT_PORT = 6379
_OPTIONS = {"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "insecure"}


class Endpoint(msgspec.Struct, frozen=True):
    """One server. ``path`` is set for a unix socket, else host and port. The password never shows in ``repr``."""

    host: str
    port: int
    path: str
    database: int
    username: str
    password: str
    tls: bool
    options: dict[str, str]

    @property
    def where(self) -> str:
        """The address for messages: no user, no password."""
        return self.path or f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Endpoint({self.where}, database={self.database}, tls={self.tls})"

    def ssl_context(self) -> ssl.SSLContext | None:
        """Python's default checks (TLS 1.2 or newer, host name verified), with the URL's certificates."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.options.get("ssl_ca_certs"))
        if "ssl_certfile" in self.options:
            context.load_cert_chain(self.options["ssl_certfile"], self.options.get("ssl_keyfile"))
        if self.options.get("insecure", "").lower() in ("1", "true", "yes"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def parse_url(url: str) -> Endpoint:
    """Read a server URL. Raises ConfigurationError with the reason; never falls back to localhost."""
    parts = urlparse(url)
    if parts.scheme in _PLANNED:
        raise ConfigurationError(f"{_PLANNED[parts.scheme]} URLs are not supported yet", hint=_EXAMPLE)
    if parts.scheme not in _TCP and parts.scheme != "unix":
        raise ConfigurationError(f"the server URL has the scheme {parts.scheme!r}", hint=_EXAMPLE)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = set(options) - _OPTIONS
    if unknown:
        raise ConfigurationError(
            f"the server URL has unknown options: {', '.join(sorted(unknown))}",
            hint=f"known are {', '.join(sorted(_OPTIONS))}",
        )
    return _unix(parts, options) if parts.scheme == "unix" else _tcp(parts, options)


def _unix(parts: ParseResult, options: dict[str, str]) -> Endpoint:
    if not parts.path:
        raise ConfigurationError("the server URL names no socket path", hint=_EXAMPLE)
    return Endpoint(
        "",
        0,
        unquote(parts.path),
        _database(options.get("db", "0")),
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        False,
        options,
    )


def _tcp(parts: ParseResult, options: dict[str, str]) -> Endpoint:
    try:
        host, port = parts.hostname, parts.port or _DEFAULT_PORT
    except ValueError as error:
        raise ConfigurationError(
            "the server URL has a port that is not a number from 0 to 65535", hint=_EXAMPLE
        ) from error
    if not host:
        raise ConfigurationError("the server URL names no host", hint=_EXAMPLE)
    database = _database(parts.path.strip("/") or options.get("db", "0"))
    return Endpoint(
        host,
        port,
        "",
        database,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        _TCP[parts.scheme],
        options,
    )


def _database(text: str) -> int:
    if not text.isdecimal():
        raise ConfigurationError(f"the server URL's database is {text!r}, not a number", hint=_EXAMPLE)
    return int(text)
