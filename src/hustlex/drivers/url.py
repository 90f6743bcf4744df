"""Where the server is: one URL, parsed and checked before anything is opened.

Read by hand and strictly: what a lenient reader drops or guesses may be half of a password, and no part of one may
reach a message. So messages name the part that is wrong and never quote it.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from pathlib import Path
from urllib.parse import unquote_to_bytes

import msgspec

from hustlex.core.link import ServerLink
from hustlex.drivers.login import Credentials
from hustlex.errors import ConfigurationError

_EXAMPLE = "use redis://host:6379/0, rediss://host:6380/0 or unix:///path/to/socket"
_TCP = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_FOREIGN = ("http", "https", "postgres", "postgresql", "mysql", "amqp", "mongodb", "memcached", "sqlite", "tcp", "file")
"""Schemes that a message may name; of others nobody knows what they are."""
_DEFAULT_PORT = 6379
_LAST_PORT = 65_535
_MOST_DATABASES = 2**31 - 1
_LONGEST_PATH = 107
_OPTIONS = {"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "insecure"}
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")
_UNREADABLE = re.compile(r"[\x00-\x20\x7f-\xa0\ud800-\udfff]")
_HOST = re.compile(r"[\w.\u3002-]+")
"""Other characters belong to a list of hosts, or to half of a password."""
_HALF_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Endpoint(msgspec.Struct, frozen=True):
    """One server. ``path`` is set for a unix socket, else host and port. The password never shows in ``repr``.

    mode: what it is to be, "cluster", "sentinel", or "" for a server that answers for all keys. seed: it is only asked
    where others are, so that it may be a replica. replica: it may be one because it only reads.
    """

    host: str
    port: int
    path: str
    database: int
    username: str
    password: str
    tls: bool
    options: dict[str, str]
    mode: str = ""
    seed: bool = False
    replica: bool = False
    credentials: Credentials | None = None
    """Asked instead of the user and password here."""

    @property
    def where(self) -> str:
        """The address for messages: no user, no password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"

    @property
    def numeric(self) -> bool:
        """Whether the host is an address, which nobody need be asked for."""
        return _is_number(self.host)

    @property
    def insecure(self) -> bool:
        """Whether the server's certificate is not looked at."""
        return self.options.get("insecure", "").lower() in _YES

    def __repr__(self) -> str:
        return f"Endpoint({self.where}, database={self.database}, tls={self.tls})"

    @property
    def link(self) -> ServerLink:
        """What may be known of it."""
        verified, known = not self.insecure, bool(self.password)
        clustered = self.mode == "cluster"
        return ServerLink(
            self.host, self.port, self.path, self.database, self.tls, verified, known, self.ssl_context, clustered
        )

    def ssl_context(self) -> ssl.SSLContext | None:
        """Python's default checks (TLS 1.2 or newer, host name verified), with the URL's certificates.

        Raises ConfigurationError that names the file which cannot be used.
        """
        if not self.tls:
            return None
        for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
            _readable(name, self.options.get(name))
        authority, own = self.options.get("ssl_ca_certs"), self.options.get("ssl_certfile")
        try:
            context = ssl.create_default_context(cafile=authority)
        except (ssl.SSLError, ValueError):
            raise ConfigurationError(
                f"ssl_ca_certs: {authority} holds no certificate", hint="it is a PEM file"
            ) from None
        try:
            if own is not None:
                context.load_cert_chain(own, self.options.get("ssl_keyfile"), password=lambda: "")
        except (ssl.SSLError, ValueError):
            raise ConfigurationError(
                f"ssl_certfile: {own} holds no certificate with an unencrypted key that fits",
                hint="name PEM files, the key's in ssl_keyfile",
            ) from None
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _is_number(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False


def parse_url(url: str) -> Endpoint:
    """Read a server URL. Raises ConfigurationError with the reason; never falls back to localhost."""
    if not isinstance(url, str):
        raise ConfigurationError(f"the server URL is no text but of type {type(url).__name__}", hint=_EXAMPLE)
    if _UNREADABLE.search(url):
        raise wrong("holds a blank or a control character")
    scheme, _, rest = url.partition("://")
    if scheme not in (*_TCP, "unix") or not url.startswith(f"{scheme}://"):
        shown = f"the scheme {scheme!r}" if scheme in _FOREIGN else "no scheme that is known"
        raise wrong(f"has {shown}")
    if "#" in rest:
        raise wrong("has a '#', which means nothing here", "in a password write %23")
    place, _, query = rest.partition("?")
    authority, slash, path = place.partition("/")
    account, _, address = authority.rpartition("@")
    if "@" in query or ("@" in path and (scheme != "unix" or (authority and not account))):
        raise wrong("has an '@' after the host", "in a password write / as %2F, ? as %3F and @ as %40")
    options = _options(query, tls=_TCP.get(scheme, False))
    user, _, password = account.partition(":")
    login = decoded(user, "user name"), decoded(password, "password")
    if scheme == "unix":
        return _unix(address, slash + path, login, options)
    return _tcp(address, path, login, options, tls=_TCP[scheme])


def _unix(address: str, path: str, login: tuple[str, str], options: dict[str, str]) -> Endpoint:
    if address:
        raise wrong("names a socket path that is not absolute", "write unix:///path/to/socket, with three slashes")
    socket = decoded(path, "socket path")
    if len(socket) < 2 or "\0" in socket or len(socket.encode()) > _LONGEST_PATH:
        raise wrong(f"names no socket path of up to {_LONGEST_PATH} bytes")
    return Endpoint("", 0, socket, _database("", options), *login, False, options)


def _tcp(address: str, path: str, login: tuple[str, str], options: dict[str, str], *, tls: bool) -> Endpoint:
    if "," in address:
        raise wrong("names several hosts", "use redis+cluster://host1,host2, or redis+sentinel://host1,host2/name/0")
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([^\[\]:]*))(?::([^:]*))?", address)
    if not found:
        raise wrong("has a host and port that cannot be read", "write an IPv6 address in brackets, as [::1]:6379")
    host = found[1] or found[2] or ""
    if not host:
        raise wrong("names no host")
    if not found[1] and not _resolvable(host):
        raise wrong("names a host that can be no host's name")
    return Endpoint(host.lower(), _port(found[3]), "", _database(path, options), *login, tls, options)


def _resolvable(host: str) -> bool:
    """Whether a resolver can be asked for it: Python's raises UnicodeError for what cannot be a name."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return _HOST.fullmatch(host) is not None


def _port(text: str | None) -> int:
    if not text:
        return _DEFAULT_PORT
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= _LAST_PORT:
        raise wrong(f"has a port that is not a number from 1 to {_LAST_PORT}")
    return int(text)


def _database(path: str, options: dict[str, str]) -> int:
    named = path.removesuffix("/")
    if named and "db" in options:
        raise wrong("names a database twice", "write it after the host, or as ?db=")
    text = named or options.get("db", "0")
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _MOST_DATABASES:
        raise wrong("names a database that is not a number", "write redis://host:6379/0")
    return int(text)


def _options(query: str, *, tls: bool) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        if name not in _OPTIONS:
            shown = f": {name}" if re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name) else ""
            raise wrong(f"has an unknown option{shown}", f"known are {', '.join(sorted(_OPTIONS))}")
        if name in options or not value:
            raise wrong(f"has the option {name} {'twice' if value else 'without a value'}")
        options[name] = decoded(value, f"option {name}")
    if options.get("insecure", "0").lower() not in (*_YES, *_NO):
        raise wrong("has an option insecure that is neither 1 nor 0")
    secured = sorted(set(options) - {"db"})
    if secured and not tls:
        raise wrong(f"has {secured[0]}, but no TLS", "use rediss://")
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise wrong("has ssl_keyfile without ssl_certfile")
    return options


def decoded(text: str, part: str) -> str:
    """Without its % escapes. Raises ConfigurationError that names the part."""
    if _HALF_ESCAPE.search(text):
        raise wrong(f"has a {part} with a '%' that no two hex digits follow", "write % as %25")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        pass
    raise wrong(f"has a {part} that is not UTF-8 once its % escapes are read")


def _readable(name: str, path: str | None) -> None:
    """Raises ConfigurationError when a file that the URL names cannot be read."""
    if path is None:
        return
    try:
        with Path(path).open("rb"):
            return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
    raise ConfigurationError(f"{name}: {path} cannot be read: {reason}", hint="it is named in the server URL")


def wrong(what: str, hint: str = _EXAMPLE) -> ConfigurationError:
    """The error for a URL with this fault."""
    return ConfigurationError(f"the server URL {what}", hint=hint)
