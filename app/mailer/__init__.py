"""Mail: what it says, how it leaves, and the one sender of the fleet."""
