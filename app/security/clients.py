"""Where a request came from: whose word counts for an address, and which addresses are one client."""

from __future__ import annotations

import functools
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

REMEMBERED = 4096
"""Addresses whose reading is remembered; past it, the one unused for longest is read again when it comes back."""

_LONGEST_ENTRY = 64
"""Characters of a forwarded address that are looked at, so that no long text is remembered."""

_IPV6_BITS_OF_A_CLIENT = 64
_IPV4_BITS_OF_A_NEIGHBOURHOOD = 24


class TrustedProxies:
    """The proxies whose X-Forwarded-For is believed. Nobody's is, unless listed."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)

    def client(self, peer: str, forwarded: Iterable[str]) -> str:
        """Return the address of the client behind a peer, in its shortest spelling; empty when the peer has none.

        ``forwarded`` are the values of all X-Forwarded-For headers in order. Each proxy appends whom it was called
        by, so the list is walked from the right for as long as the proxies are ours. What is not an address ends the
        walk: everything to the left of it was written by nobody whom we know.
        """
        if not self._networks:
            return _spelling(peer)
        address = _read(peer)
        if address is None:
            return ""
        if self._trusts(address):
            for entry in reversed(",".join(forwarded).split(",")):
                hop = _read(_without_port(entry.strip()[:_LONGEST_ENTRY]))
                if hop is None:
                    break
                address = hop
                if not self._trusts(hop):
                    break
        return str(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


@functools.lru_cache(REMEMBERED)
def client_of(address: str) -> str:
    """Name the client that an address belongs to: an IPv4 address itself, an IPv6 address by its /64.

    A /64 is what one subscriber is given (RFC 6177), and 2^64 addresses would pass any limit for each.
    """
    read = _read(address)
    return f"{_network(read, _IPV6_BITS_OF_A_CLIENT)}/64" if isinstance(read, IPv6Address) else address


@functools.lru_cache(REMEMBERED)
def neighbourhood_of(address: str) -> str:
    """Name the network that an address shares with its neighbours: the /24 of IPv4, the /64 of IPv6."""
    read = _read(address)
    if isinstance(read, IPv4Address):
        return f"{IPv4Network((read, _IPV4_BITS_OF_A_NEIGHBOURHOOD), strict=False).network_address}/24"
    return client_of(address)


@functools.lru_cache(REMEMBERED)
def _read(text: str) -> Address | None:
    """Read an address. One of IPv4 that is written as IPv6 is IPv4; a zone, which means something here only, is cut."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


@functools.lru_cache(REMEMBERED)
def _spelling(text: str) -> str:
    return str(_read(text) or "")


def _network(address: IPv6Address, bits: int) -> IPv6Address:
    return IPv6Network((address, bits), strict=False).network_address


def _without_port(entry: str) -> str:
    """Cut the port that some proxies write: ``192.0.2.1:4711`` and ``[2001:db8::1]:4711``."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    host, colon, _ = entry.partition(":")
    return host if colon and "." in host else entry
