"""An open-loop load generator: it speaks HTTP to its target, writes files, and needs nothing of the service it measures."""
