"""E-mail addresses: one spelling for one mailbox, decided before anything is looked up or stored."""

from __future__ import annotations

import functools

from email_validator import EmailNotValidError, validate_email

LOAD_DOMAIN = "load.invalid"
"""Where the load generator's users live; RFC 2606 promises that no mail can ever reach it."""

SEED_DOMAIN = "seed.invalid"
"""Where the users live that `gatewatch seed` makes up."""

LONGEST = 254
"""Characters of an address that SMTP can carry (RFC 5321, 4.5.3.1.3, less the angle brackets)."""

_STAND_IN = "example.com"


def normalise(address: str) -> str:
    """Trim, check, IDNA-normalise and lower-case an address; raise ValueError with a sentence when it is not one."""
    text = address.strip()
    # Before the library, which looks at 64 KB for a third of a second, and before the memory of those that were good.
    if len(text) > LONGEST:
        raise ValueError(f"The email address is longer than {LONGEST} bytes.")
    return _normal(text)


@functools.lru_cache(maxsize=1024)  # a login asks twice: for its limits and for its account
def _normal(text: str) -> str:
    local, at, domain = text.rpartition("@")
    ours = domain.lower() if at and domain.lower() in (LOAD_DOMAIN, SEED_DOMAIN) else ""
    try:
        # The library refuses reserved names outright, so addresses of made-up users are judged under another.
        checked = validate_email(f"{local}@{_STAND_IN}" if ours else text, strict=True, check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    normal = (f"{checked.local_part}@{ours}" if ours else checked.normalized).lower()
    if len(normal.encode()) > LONGEST:
        raise ValueError(f"The email address is longer than {LONGEST} bytes.")
    return normal
