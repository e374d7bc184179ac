"""Client addresses: who is believed, and which addresses are one client."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.security.clients import TrustedProxies, client_of, neighbourhood_of

OURS = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),  # a stranger may write what it likes
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["203.0.113.7, 198.51.100.9"], "198.51.100.9"),  # what the client itself sent stands to the left
        ("10.0.0.1", ["203.0.113.7, 198.51.100.9, 10.0.0.2"], "198.51.100.9"),  # two proxies of ours
        ("10.0.0.1", ["203.0.113.7", "198.51.100.9", " 10.0.0.2 "], "198.51.100.9"),  # one header each
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.9, <script>, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["", ",,"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.9:4711"], "198.51.100.9"),
        ("10.0.0.1", ["[2001:DB8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", ["2001:0db8:0:0::1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.9"], "198.51.100.9"),
        ("2001:db8:ffff::1", ["198.51.100.9"], "198.51.100.9"),
        ("fe80::1%eth0", ["198.51.100.9"], "fe80::1"),
        ("", ["198.51.100.9"], ""),
    ],
)  # fmt: skip
def test_the_rightmost_address_that_is_not_ours_is_the_client(peer: str, forwarded: list[str], client: str) -> None:
    """Only a listed proxy is believed, and only as far as the proxies it names are listed too."""
    assert OURS.client(peer, forwarded) == client


@pytest.mark.parametrize("peer", ["10.0.0.1", "127.0.0.1", "::1"])
def test_nobody_is_believed_by_default(peer: str) -> None:
    """Without a list a forwarded address is ignored, from this machine too."""
    assert TrustedProxies().client(peer, ["198.51.100.9"]) == peer


@given(st.lists(st.text(), max_size=5))
def test_whatever_is_forwarded_becomes_an_address(forwarded: list[str]) -> None:
    """No text in the header raises, or comes out as anything but an address."""
    address = OURS.client("10.0.0.1", forwarded)
    assert str(ip_address(address)) == address


def test_the_addresses_of_a_subscriber_are_one_client() -> None:
    """IPv6 counts by its /64, IPv4 by the address, and a neighbourhood of IPv4 is a /24."""
    assert client_of("2001:db8:1:2::1") == client_of("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert client_of("2001:db8:1:3::1") != client_of("2001:db8:1:2::1")
    assert client_of("192.0.2.1") == "192.0.2.1"
    assert neighbourhood_of("192.0.2.1") == neighbourhood_of("192.0.2.254") == "192.0.2.0/24"
    assert neighbourhood_of("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert client_of("") == neighbourhood_of("") == ""
