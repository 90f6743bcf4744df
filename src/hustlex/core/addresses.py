"""Whom an IP address stands for."""

from __future__ import annotations

import ipaddress
import re

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


_WITH_PORT = re.compile(r"\[([^\[\]]+)\](?::\d{1,5})?|([0-9.]+):\d{1,5}")
"""``[2001:db8::7]``, ``[2001:db8::7]:443``, ``203.0.113.7:443``: as some proxies write the client's address."""


def network(ip: str, *, v4: int = 32, v6: int = 64) -> Network:
    """The network around an address: by default itself (IPv4), or its /64 (IPv6), which one household or phone holds.

    An IPv4 address written as IPv6 is an IPv4 address; brackets, a port and a zone are read over. Raises ValueError for
    what is no address.
    """
    ported = _WITH_PORT.fullmatch(ip.strip())
    address = ipaddress.ip_address((ported[1] or ported[2] if ported else ip.strip()).partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return ipaddress.ip_network((address, v4 if address.version == 4 else v6), strict=False)
