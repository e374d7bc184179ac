"""Passwords, tokens and addresses: what must be right about a secret. Clients and clocks are handed in."""
