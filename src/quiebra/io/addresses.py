"""Addresses to listen on, and networks of other machines that are trusted with something."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from quiebra.errors import WorkspaceError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(texts: Iterable[str], option: str) -> tuple[Network, ...]:
    """Return networks as given: addresses, or networks such as 10.0.0.0/24. option: that they came with, for the message.

    WorkspaceError for what is none, and for a network of all addresses.

    >>> parse_networks(["127.0.0.1"], "--gateway")
    (IPv4Network('127.0.0.1/32'),)
    """
    found = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            raise WorkspaceError(f"{option} '{text}': give an address, or a network such as 10.0.0.0/24") from None
        if network.prefixlen == 0:
            raise WorkspaceError(f"{option} '{text}': everybody's headers would be believed; give the gateway's own address")
        found.append(network)
    return tuple(found)


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Return whether an address is in one of the networks; False for what is no address, such as that of a socket file."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    known = getattr(ip, "ipv4_mapped", None) or ip
    return any(known in network for network in networks)


def require_free_port(host: str, port: int) -> None:
    """Raise WorkspaceError if the server cannot listen on the address."""
    try:
        for family, kind, *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:1]:
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        raise WorkspaceError(f"cannot listen on {host}:{port} ({error.strerror or error}): give another with --port") from None
