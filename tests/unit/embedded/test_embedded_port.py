"""Claims about the ports of embedded servers."""

from app.embedded import port


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    """A port given to a server is never one that the system lends to a client."""
    drawn = {port.free_port() for _ in range(50)}
    assert max(drawn) < port._ephemeral_start()
    assert min(drawn) >= port.LOWEST
