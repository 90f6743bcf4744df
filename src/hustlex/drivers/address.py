"""How the servers of a URL are arranged: one, a cluster, or one that Sentinels watch. Each is read as one's URL.

``redis+cluster://h1,h2`` and ``redis+sentinel://h1,h2/name/db``; with ``rediss`` or ``valkeys`` for TLS.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from msgspec.structs import replace

from hustlex.drivers.login import Credentials
from hustlex.drivers.url import Endpoint, decoded, parse_url, wrong
from hustlex.errors import ConfigurationError

_SCHEME = re.compile(r"(redis|rediss|valkey|valkeys)\+(cluster|sentinel)")
_SENTINEL_PORT = 26_379
_LOGIN = ("sentinel_username", "sentinel_password")
_MAP = "address_map"
_READ_FROM = "read_from"
_MAP_EXAMPLE = "write address_map=announced:6379=reachable:7001, more of them after commas"
_CLUSTER_EXAMPLE = "use redis+cluster://host1:6379,host2:6379"
_SENTINEL_EXAMPLE = "use redis+sentinel://host1:26379,host2:26379/name/0"


Place = tuple[str, int]


class Address(msgspec.Struct, frozen=True):
    """servers: the one, or some of a cluster's. sentinels and service: who knows where the server of this name is;
    then ``servers`` holds a pattern without a place. No password shows in ``repr``."""

    kind: Literal["single", "cluster", "sentinel"]
    servers: tuple[Endpoint, ...]
    sentinels: tuple[Endpoint, ...] = ()
    service: str = ""
    reached_at: dict[Place, Place] = {}
    """Of servers that announce addresses which lead nowhere from here: announced to reachable."""
    replicas: bool = False
    """Whether replicas are read from, and nothing is written."""

    def with_login(self, credentials: Credentials | None) -> Address:
        """The same, where a function says who logs in to the servers; Sentinels keep the account of the URL."""
        return replace(self, servers=tuple(replace(each, credentials=credentials) for each in self.servers))

    def at(self, host: str, port: int) -> Endpoint:
        """The server that announces itself as this."""
        host, port = self.reached_at.get((host, port), (host, port))
        return replace(self.servers[0], host=host, port=port, seed=self.replicas, replica=self.replicas)

    @property
    def where(self) -> str:
        """For messages: no user, no password."""
        if self.kind == "sentinel":
            return f"the Sentinels {', '.join(each.where for each in self.sentinels)}"
        return ", ".join(each.where for each in self.servers)

    def check_certificates(self) -> None:
        """Raises ConfigurationError when a file that the URL names cannot be used."""
        self.servers[0].ssl_context()


def parse_address(url: str) -> Address:
    """Read a URL of any arrangement. Raises ConfigurationError with the reason."""
    given: object = url
    if not isinstance(given, str):
        return Address("single", (parse_url(url),))
    scheme, _, rest = given.partition("://")
    found = _SCHEME.fullmatch(scheme)
    if found is None:
        return Address("single", (parse_url(url),))
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    account, at, hosts = authority.rpartition("@")
    reached_at, query = _reached_at(query)
    replicas, query = _replicas(query)
    if found[2] == "cluster":
        address = _cluster(_each(found[1], account + at, hosts, path, query, _CLUSTER_EXAMPLE))
    else:
        address = _sentinel(found[1], account + at, hosts, path, query)
    return replace(address, reached_at=reached_at, replicas=replicas)


def for_rooms(url: str) -> Address:
    """As ``parse_address``. Raises ConfigurationError for one that reads from replicas: rights must be the newest."""
    address = parse_address(url)
    if address.replicas:
        hint = "leave read_from out; hustlex.drivers.aio.Driver takes it for reads of your own"
        raise ConfigurationError(
            "the server URL reads from replicas, where a right may be older than its end", hint=hint
        )
    return address


def _replicas(query: str) -> tuple[bool, str]:
    """Whether replicas are read from, and the rest of the options."""
    pairs = query.split("&")
    given = [pair.partition("=")[2] for pair in pairs if pair.partition("=")[0] == _READ_FROM]
    if given not in ([], ["primary"], ["replica"]):
        raise wrong(f"has an option {_READ_FROM} that is neither primary nor replica", f"write {_READ_FROM}=replica")
    return given == ["replica"], "&".join(pair for pair in pairs if pair.partition("=")[0] != _READ_FROM)


def _reached_at(query: str) -> tuple[dict[Place, Place], str]:
    """The map of addresses, and the rest of the options."""
    pairs = query.split("&")
    given = [pair.partition("=")[2] for pair in pairs if pair.partition("=")[0] == _MAP]
    if len(given) > 1 or given == [""]:
        raise wrong(f"has the option {_MAP} {'twice' if given[1:] else 'without a value'}", _MAP_EXAMPLE)
    places = {}
    for entry in given[0].split(",") if given else ():
        announced, _, reachable = entry.partition("=")
        if not (_has_port(announced) and _has_port(reachable)):
            raise wrong(f"has an {_MAP} that does not say which address stands for which", _MAP_EXAMPLE)
        places[_place(announced)] = _place(reachable)
    return places, "&".join(pair for pair in pairs if pair.partition("=")[0] != _MAP)


def _place(text: str) -> Place:
    endpoint = parse_url(f"redis://{text}")
    return endpoint.host, endpoint.port


def _each(scheme: str, account: str, hosts: str, path: str, query: str, example: str) -> tuple[Endpoint, ...]:
    if not hosts.strip(","):
        raise wrong("names no host", example)
    if "," in account and "@" in account.removesuffix("@"):
        raise wrong(
            "has an account at several hosts", "write it once, before the first host; in a password write @ as %40"
        )
    if "" in hosts.split(","):
        raise wrong("has an empty place in its list of hosts", example)
    tail = f"/{path}?{query}"
    return tuple(parse_url(f"{scheme}://{account}{host}{tail}") for host in hosts.split(","))


def _cluster(servers: tuple[Endpoint, ...]) -> Address:
    if servers[0].database:
        raise wrong("names a database, but a cluster has only number 0", _CLUSTER_EXAMPLE)
    return Address("cluster", tuple(replace(each, mode="cluster", seed=True) for each in servers))


def _sentinel(scheme: str, account: str, hosts: str, path: str, query: str) -> Address:
    name, _, database = path.partition("/")
    service = decoded(name, "name of what the Sentinels watch")
    if not service.strip() or not service.isprintable():
        raise wrong("does not say which server the Sentinels are asked for", _SENTINEL_EXAMPLE)
    login, rest = _login(query)
    pattern = _each(scheme, account, hosts, database, rest, _SENTINEL_EXAMPLE)
    ported = ",".join(host if _has_port(host) else f"{host}:{_SENTINEL_PORT}" for host in hosts.split(","))
    watching = (
        replace(each, username=login[0], password=login[1], database=0, mode="sentinel", seed=True)
        for each in _each(scheme, "", ported, "", "&".join(_transport(rest)), _SENTINEL_EXAMPLE)
    )
    return Address("sentinel", (replace(pattern[0], host="", port=0),), tuple(watching), service)


def _has_port(host: str) -> bool:
    return re.search(r":[^:\]]*$", host) is not None


def _login(query: str) -> tuple[tuple[str, str], str]:
    """User and password of the Sentinels themselves, and the rest of the options."""
    pairs = query.split("&")
    found = dict(pair.partition("=")[::2] for pair in pairs if pair.partition("=")[0] in _LOGIN)
    login = tuple(decoded(found.get(name, ""), f"option {name}") for name in _LOGIN)
    return (login[0], login[1]), "&".join(pair for pair in pairs if pair.partition("=")[0] not in _LOGIN)


def _transport(query: str) -> list[str]:
    """The options that hold for every connection: certificates."""
    return [pair for pair in query.split("&") if pair.startswith(("ssl_", "insecure"))]
