"""E-mail addresses: one spelling for one mailbox, decided before anything is looked up or stored."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

LOAD_DOMAIN = "load.invalid"
"""Where the load generator's users live; RFC 2606 promises that no mail can ever reach it."""

LONGEST = 254
"""Characters of an address that SMTP can carry (RFC 5321, 4.5.3.1.3, less the angle brackets)."""

_STAND_IN = "example.com"


def normalise(address: str) -> str:
    """Trim, check, IDNA-normalise and lower-case an address; raise ValueError with a sentence when it is not one."""
    text = address.strip()
    local, at, domain = text.rpartition("@")
    is_load = bool(at) and domain.lower() == LOAD_DOMAIN
    try:
        # The library refuses reserved names outright, so the load generator's addresses are judged under another.
        checked = validate_email(f"{local}@{_STAND_IN}" if is_load else text, strict=True, check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    normal = f"{checked.local_part}@{LOAD_DOMAIN}" if is_load else checked.normalized
    if len(normal.encode()) > LONGEST:
        raise ValueError(f"The email address is longer than {LONGEST} bytes.")
    return normal.lower()
