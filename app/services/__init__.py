"""The decisions. No HTTP, no ORM, no Redis: what they need comes in through ports."""
