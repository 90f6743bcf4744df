"""Whom an IP address stands for."""

from __future__ import annotations

import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(ip: str, *, v4: int = 32, v6: int = 64) -> Network:
    """The network around an address: by default itself (IPv4), or its /64 (IPv6), which one household or phone holds.

    An IPv4 address written as IPv6 is an IPv4 address. Raises ValueError for what is no address.
    """
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return ipaddress.ip_network((address, v4 if address.version == 4 else v6), strict=False)
