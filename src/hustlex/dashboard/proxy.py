"""Signing in where a proxy has done it: its headers are believed from its address alone, and with its secret."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable
from hashlib import sha256
from time import monotonic

from starlette.requests import Request

from hustlex.core import check
from hustlex.core.logs import logger
from hustlex.dashboard.operators import NOBODY, Operator
from hustlex.errors import Misuse

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNIX = "unix"
_SHORTEST_SECRET = 16
_LONGEST_NAME = 200
_LOG_EVERY_S = 60.0
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
_VISIBLE = re.compile(r"[!-~]+")
_MAPPED_BITS = 96
"""Of an IPv6 address that stands for an IPv4 one, before that begins."""
_PATTERN = re.compile(r"[*?^$|()\[\]{}\\/<>\"]")
"""What stands in no address, but in what somebody meant as a pattern."""
_log = logger("hustlex.dashboard")


class BehindProxy:
    """An ``access`` for a console behind a proxy that signs people in: ``Dashboard(hx, access=BehindProxy(...))``.

    proxies: addresses and networks of the proxy as the socket has them (``"10.0.0.7"``, ``"10.1.0.0/16"``), or "unix"
        for a server that listens on a unix socket.
    secret: what only the proxy and the console know, 16 visible characters or more; the proxy sends it in
        ``secret_header`` with each request. It is never shown.
    acts, reads: who may change things, and who may look: names as the proxy sends them, or "@example.com" for all of
        one domain. Exact, no patterns; domains are compared without regard to capitals.
    user_header: where the proxy says who it is; it must take both headers out of what clients send.

    Nobody else gets in, and no message says what was missing. The server must not rewrite addresses from
    X-Forwarded-For (``uvicorn --no-proxy-headers``): what it has rewritten is nobody. Raises Misuse.
    """

    def __init__(
        self,
        *,
        proxies: Iterable[str],
        secret: str,
        acts: Iterable[str] = (),
        reads: Iterable[str] = (),
        user_header: str = "X-Forwarded-Email",
        secret_header: str = "X-Proxy-Secret",  # noqa: S107 - a header's name
    ) -> None:
        named = [check.text("a proxy", one) for one in check.several("proxies", proxies)]
        if not named:
            raise Misuse("there are no proxies", hint='name their addresses, as ["10.0.0.7"]')
        self._unix = _UNIX in named
        self._networks = [_network(one) for one in named if one != _UNIX]
        self._digest = sha256(_sendable(secret)).digest()
        self._acts = frozenset(_rule(one) for one in check.several("acts", acts))
        self._reads = frozenset(_rule(one) for one in check.several("reads", reads))
        if not self._acts | self._reads:
            raise Misuse("nobody could come in", hint='name who may: acts=["ada@example.com"], reads=["@example.com"]')
        self._user_header = _header("user_header", user_header)
        self._secret_header = _header("secret_header", secret_header)
        if self._user_header == self._secret_header:
            raise Misuse("user_header and secret_header are the same", hint="give each a name of its own")
        self._logged: dict[str, float] = {}

    def __repr__(self) -> str:
        peers = [*map(str, self._networks), *([_UNIX] if self._unix else [])]
        return f"BehindProxy(proxies={peers!r}, acts={sorted(self._acts)!r}, reads={sorted(self._reads)!r})"

    async def __call__(self, request: Request) -> Operator:
        """Who the proxy says it is, as far as they may come in; nobody for all else."""
        users, secrets = self._values(request, self._user_header), self._values(request, self._secret_header)
        if not users and not secrets:
            return NOBODY
        if not self._is_proxy(request) or not self._is_secret(secrets):
            return NOBODY
        name = _name(users[0]) if len(users) == 1 else None
        if name is None:
            return NOBODY
        if _fits(name, self._acts):
            return Operator("act", name)
        return Operator("read", name) if _fits(name, self._reads) else NOBODY

    def _values(self, request: Request, header: bytes) -> list[bytes]:
        return [value for name, value in request.scope["headers"] if name.lower() == header]

    def _is_proxy(self, request: Request) -> bool:
        client, server = request.scope.get("client"), request.scope.get("server")
        if not client:  # a TCP peer that is gone already has no address, either
            trusted = self._unix and (server is None or server[1] is None)
            return trusted or self._ignored("a socket without an address")
        if client[1] == 0:
            self._tell("the server took the peer's address from X-Forwarded-For: start it with --no-proxy-headers")
            return False
        peer = _address(client[0])
        if peer is None:
            return self._ignored("an address that cannot be read")
        return any(peer in network for network in self._networks) or self._ignored(str(peer))

    def _is_secret(self, given: list[bytes]) -> bool:
        right = len(given) == 1 and hmac.compare_digest(sha256(given[0]).digest(), self._digest)
        if not right:
            self._tell("a proxy of this console sent a wrong secret, none, or several")
        return right

    def _ignored(self, peer: str) -> bool:
        self._tell("headers that say who it is were ignored: %s is no proxy of this console", peer)
        return False

    def _tell(self, message: str, *details: str) -> None:
        """Once a minute: anybody can send such requests."""
        now = monotonic()
        if now - self._logged.get(message, -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged[message] = now
            _log.warning(message, *details)


def _fits(name: str, rules: frozenset[str]) -> bool:
    domain = name.partition("@")[2]
    return name in rules or (domain != "" and f"@{domain}" in rules)


def _name(value: bytes) -> str | None:
    """The name in a header, its domain in small letters; None for what is none, or could be read as two."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return _canonical(text) if _is_name(text) and not text.startswith("@") else None


def _is_name(text: str) -> bool:
    readable = 0 < len(text) <= _LONGEST_NAME and text.isprintable() and not any(map(str.isspace, text))
    return readable and text.count("@") <= 1 and not text.endswith("@") and not set(text) & {",", ";"}


def _canonical(text: str) -> str:
    """Small letters for A to Z alone: of other alphabets some letters would become one of ours."""
    local, at, domain = text.rpartition("@")
    return f"{local}{at}{domain.encode().lower().decode()}" if at else text


def _rule(given: object) -> str:
    text = check.text("a rule", given, longest=_LONGEST_NAME)
    domain = text.partition("@")[2]
    if _PATTERN.search(text) or domain.startswith(".") or domain.endswith("."):
        raise Misuse("a rule holds a pattern", hint="rules are exact: a name, or @example.com for a domain")
    if not _is_name(text):
        raise Misuse("a rule is neither a name nor a domain", hint="as ada@example.com, or @example.com")
    return _canonical(text)


def _network(text: str) -> Network:
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        raise Misuse("a proxy is neither an address nor a network", hint='as 10.0.0.7, 10.1.0.0/16 or "unix"') from None
    if isinstance(found, ipaddress.IPv6Network) and found.prefixlen >= _MAPPED_BITS:
        mapped = found.network_address.ipv4_mapped
        found = ipaddress.ip_network((mapped, found.prefixlen - _MAPPED_BITS)) if mapped else found
    if found.prefixlen == 0:
        raise Misuse("a proxy is everybody", hint="name the addresses of the proxy alone")
    return found


def _address(host: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The peer of a socket; an IPv4 address written as IPv6 is an IPv4 address."""
    try:
        found = ipaddress.ip_address(str(host))
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def _sendable(secret: object) -> bytes:
    raw = check.secret("secret", check.typed("secret", secret), _SHORTEST_SECRET)
    if not _VISIBLE.fullmatch(raw.decode("utf-8", "replace")):
        raise Misuse("secret holds what no header can carry", hint="take letters, digits and signs, without blanks")
    return raw


def _header(name: str, value: object) -> bytes:
    text = check.text(name, value)
    if not _HEADER.fullmatch(text):
        raise Misuse(f"{name} is no name of a header", hint="letters, digits and hyphens, as X-Forwarded-Email")
    return text.lower().encode()
