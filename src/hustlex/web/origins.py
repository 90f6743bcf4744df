"""Where an application is reached: which hosts and origins are its own."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.requests import HTTPConnection

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.web.routing import OUTERMOST

_PORTS = {"http": 80, "https": 443}


class Origins(msgspec.Struct, frozen=True):
    """What ``install`` was told. own: as ``https://api.example.org``. hosts: in lower case, without ports; ``*`` for
    each, ``*.example.org`` for each below; none: each."""

    own: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def serves(self, host: str) -> bool:
        """Whether a Host header names this application."""
        if not self.hosts:
            return True
        name = _host(host)
        return any(each in ("*", name) or (each.startswith("*.") and name.endswith(each[1:])) for each in self.hosts)

    def of(self, host: str) -> str:
        """The own origin that a request with this Host header came to; "" when that is not certain."""
        there = [origin for origin in self.own if origin.partition("://")[2] == _authority(origin, host)]
        return there[0] if there else self.own[0] if len(self.own) == 1 else ""


def read_origins(origins: object, hosts: object) -> Origins:
    """Raises Misuse."""
    own = tuple(_origin(each) for each in _texts("origins", origins))
    named = tuple(_name(each) for each in _texts("hosts", hosts)) if hosts is not None else ()
    return Origins(own, named or tuple(dict.fromkeys(_host(each.partition("://")[2]) for each in own)))


def origins_of(scope: MutableMapping[str, Any]) -> Origins:
    """Those of the application that a request came to."""
    for app in (scope.get(OUTERMOST), scope.get("app")):
        found = getattr(getattr(app, "state", None), "hustlex_origins", None)
        if isinstance(found, Origins):
            return found
    return Origins()


def same_origin(connection: HTTPConnection) -> bool:
    """Whether a browser sent this for a page of the application itself. Others than browsers say nothing of it."""
    headers, origins = connection.headers, origins_of(connection.scope)
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in ("same-origin", "none")
    try:
        came = _origin(origin)
    except Misuse:
        return False  # "null" too: a sandboxed page
    return came in origins.own if origins.own else came.partition("://")[2] == _authority(came, headers.get("host", ""))


def host_of(scope: MutableMapping[str, Any]) -> str:
    """The one Host header; "" without, or with several."""
    found = [value for name, value in scope["headers"] if name == b"host"]
    return found[0].decode("latin-1") if len(found) == 1 else ""


def _texts(name: str, given: object) -> Sequence[Any]:
    check.instance(name, given, list, tuple, hint="pass a list of texts")
    found: Sequence[Any] = given  # type: ignore[assignment]
    return found


def _origin(given: object) -> str:
    """``https://api.example.org``, in lower case, a port only where it is not the scheme's own."""
    text = check.text("origins", given)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    bare = parts.hostname and not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in _PORTS or not bare:
        raise Misuse("origins holds a text that is no origin", hint="pass scheme and host, as https://api.example.org")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, _PORTS[parts.scheme]) else "")


def _name(given: object) -> str:
    text = check.text("hosts", given).lower()
    if any(each in text for each in "/ @") or ("*" in text.removeprefix("*.") and text != "*"):
        raise Misuse("hosts holds a text that is no host", hint="pass names, as api.example.org or *.example.org")
    return _host(text)


def _host(authority: str) -> str:
    """Without its port, in lower case."""
    text = authority.lower()
    if text.startswith("["):
        return text.partition("]")[0] + "]"
    return text.partition(":")[0].removesuffix(".")


def _authority(origin: str, host: str) -> str:
    """A Host header as an origin of that scheme has it."""
    return host.lower().removesuffix(f":{_PORTS[origin.partition('://')[0]]}")
