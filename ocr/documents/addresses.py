"""Which addresses of the internet are public, and the connections to them. Knows no HTTP."""

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address is its last 32 bits
# What is special beside what Python's own lists call private or reserved.
SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            "168.63.129.16/32",  # a cloud's own services on each of its machines, though the block is public
            "192.0.0.0/24",  # RFC 6890
            "192.88.99.0/24",  # RFC 7526: relays of 6to4
            "64:ff9b:1::/48",  # RFC 8215: NAT64 of a network's own
            "3fff::/20",  # RFC 9637: documentation
        ),
    )
)


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet at large: not of this machine, its networks, nor of any special use.

    An IPv6 address that carries an IPv4 one, mapped, by 6to4 or by NAT64, is what that one is.
    """
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            carried = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if carried:
            return is_public(carried)
        if address.is_site_local:
            return False
    if any(address in network for network in SPECIAL):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def addresses(host: str, port: int) -> list[Address]:
    """The addresses of a host, in the order in which the system would try them; none where it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # the last for a name with a part that is empty or too long
        return []
    return list(dict.fromkeys(ipaddress.ip_address(str(place[0])) for *_, place in found))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
