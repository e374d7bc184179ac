"""Settings: frozen, taken from the environment once, each with a default, a bound and a sentence.

``FIELDS`` is the whole list; README's table and ``gatewatch serve --help`` are checked against it.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field, fields
from email.utils import formataddr, parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PACKAGE = Path(__file__).parent
DEFAULT_SLO = PACKAGE / "slo.toml"
DEFAULT_BLOCKLIST = PACKAGE / "security" / "common_passwords.txt.gz"

OWASP_ARGON2ID = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))
"""Memory in KiB and passes, in one lane, that OWASP's Password Storage Cheat Sheet holds to be equally strong."""

_MOST_WORK = 1024 * 1024
"""KiB times passes of a hash, at most; also of one that is verified."""


class SettingsError(ValueError):
    """A setting cannot be used; the message names it, what it was and what it may be."""


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"must be a whole number from {low} to {high}") from None
        if not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"must be a number of seconds from {low:.10g} to {high:.10g}") from None
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(f"must be a number of seconds from {low:.10g} to {high:.10g}")
        return value

    return parse


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError("must look like " + " or ".join(f"{scheme}://host:port/..." for scheme in schemes))
        return text

    return parse


def _urls(*schemes: str) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        return tuple(_url(*schemes)(url.strip()) for url in text.split(",") if url.strip())

    return parse


def _public_url(text: str) -> str:
    parts = urlsplit(_url("http", "https")(text))
    if parts.query or parts.fragment or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be the beginning of a URL, without ? or #")
    return text.rstrip("/")


def _trace_url(text: str) -> str:
    parts = urlsplit(_url("http", "https")(text))
    if "{trace_id}" not in text.partition(parts.netloc)[2] or not text.isprintable() or " " in text:
        raise ValueError("must have {trace_id} where the id of the trace goes")
    return text


def _smtp_url(text: str) -> str:
    parts = urlsplit(_url("smtp", "smtps")(text))
    if parts.query not in {"", "starttls"} or (parts.query and parts.scheme == "smtps"):
        raise ValueError("may end in ?starttls, and in no other question; smtps:// is encrypted without it")
    in_the_clear = parts.scheme == "smtp" and not parts.query
    if parts.password and in_the_clear and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        raise ValueError("would send its password in the clear; add ?starttls, or use smtps://")
    return text


def _mailbox(text: str) -> str:
    name, address = parseaddr(text)
    if not all((text.isascii(), text.isprintable(), "@" in address, " " not in address)):
        raise ValueError("must look like address@example.org or Name <address@example.org>")
    return formataddr((name, address))


def _token(text: str) -> str:
    if len(text) < 22 or not text.isascii() or not text.isprintable() or " " in text:  # noqa: PLR2004 - 22 base64 characters carry 128 bits
        raise ValueError("must be at least 22 printable characters without spaces (128 bits)")
    return text


def _switch(text: str) -> bool:
    if text.lower() in {"on", "true", "1"}:
        return True
    if text.lower() in {"off", "false", "0"}:
        return False
    raise ValueError("must be on or off")


def _readers(text: str) -> str:
    if text.lower() not in {"local", "on", "off"}:
        raise ValueError("must be local, on or off")
    return text.lower()


def _log_form(text: str) -> str:
    if text.lower() not in {"auto", "json", "text"}:
        raise ValueError("must be auto, json or text")
    return text.lower()


def _path_or_none(text: str) -> Path | None:
    return None if text.lower() == "none" else Path(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")


def _hosts(text: str) -> tuple[str, ...]:
    names = _names(text)
    if not all(_HOST.fullmatch(name) or _is_address(name) for name in names):
        raise ValueError("must be host names without http://, port or path, separated by commas")
    return names


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


_RATE = re.compile(r"([1-9]\d{0,8})/(\d{0,4})(s|min|h)")
_UNITS = {"s": 1, "min": 60, "h": 3600}


def _rate(text: str) -> tuple[int, int]:
    parts = _RATE.fullmatch(text.replace(" ", ""))
    seconds = int(parts[2] or 1) * _UNITS[parts[3]] if parts else 0
    if parts is None or not 0 < seconds <= _UNITS["h"] or int(parts[1]) > seconds * 1_000_000:
        raise ValueError("must look like 10/min, 5/s or 100/15min; at most an hour, and a million a second")
    return int(parts[1]), seconds


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(map(ip_network, _names(text)))
    except ValueError:
        raise ValueError("must be IP addresses or networks like 10.0.0.0/8, separated by commas") from None


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _setting(name: str, default: Any, parse: Callable[[str], Any], says: str, shown: str | None = None) -> Any:
    shown = shown if shown is not None else str(default)
    return field(default=default, metadata={"name": name, "parse": parse, "says": says, "shown": shown})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, with what holds when it is not."""

    database_url: str | None = _setting(
        "DATABASE_URL",
        None,
        _url("postgres", "postgresql"),
        "PostgreSQL 14 or newer. Without it, one is run from the data folder.",
        "embedded",
    )
    replica_urls: tuple[str, ...] = _setting(
        "DATABASE_REPLICA_URLS",
        (),
        _urls("postgres", "postgresql"),
        "Streaming replicas of it, for reads that may lag; comma-separated.",
        "none",
    )
    replica_max_lag: float = _setting(
        "DATABASE_REPLICA_MAX_LAG",
        5.0,
        _seconds(0.2, 3600),
        "A replica that is further behind than this many seconds is not asked.",
        "5",
    )
    redis_url: str | None = _setting(
        "REDIS_URL", None, _url("redis", "rediss"), "Redis 7 or newer. Without it, one is run in memory.", "embedded"
    )
    host: str = _setting("GATEWATCH_HOST", "127.0.0.1", str, "Address to listen on.")
    port: int = _setting("GATEWATCH_PORT", 8000, _integer(1, 65535), "Port to listen on.")
    workers: int = _setting("GATEWATCH_WORKERS", 2, _integer(1, 64), "Serving processes of this instance.")
    data_dir: Path = _setting(  # noqa: RUF009 - a Path never changes
        "GATEWATCH_DATA_DIR", Path(".data"), Path, "Where the embedded servers and load runs keep their files."
    )
    console_token: str | None = _setting(
        "GATEWATCH_CONSOLE_TOKEN",
        None,
        _token,
        "Opens the console; 22 characters or more. Without it, one is made up and kept in the data folder.",
        "made up",
    )
    console_hosts: tuple[str, ...] = _setting(
        "GATEWATCH_CONSOLE_HOSTS",
        (),
        _hosts,
        "Host names, besides localhost and GATEWATCH_HOST, under which the console may be opened; comma-separated.",
        "none",
    )
    load: bool | None = _setting(
        "GATEWATCH_LOAD",
        None,
        _switch,
        "Whether the console may start load runs.",
        "on with the embedded PostgreSQL, else off",
    )
    slo: Path = _setting(  # noqa: RUF009 - the same
        "GATEWATCH_SLO", DEFAULT_SLO, Path, "The targets file (slo.toml).", "the one in the package"
    )
    max_connections: int = _setting(
        "GATEWATCH_MAX_CONNECTIONS",
        10000,
        _integer(1, 1000000),
        "Client connections of this instance, divided among its workers; one more is closed at once.",
    )
    pool_size: int = _setting(
        "GATEWATCH_POOL_SIZE",
        20,
        _integer(1, 1000),
        "PostgreSQL connections of this instance, divided among its workers (one each at least).",
    )
    pool_max_wait: float = _setting(
        "GATEWATCH_POOL_MAX_WAIT", 5.0, _seconds(0.01, 60), "Seconds to wait for a connection; then 503.", "5"
    )
    pool_idle_timeout: float = _setting(
        "GATEWATCH_POOL_IDLE_TIMEOUT",
        600.0,
        _seconds(1, 86400),
        "Seconds after which an idle connection closes.",
        "600",
    )
    pool_validate_after: float = _setting(
        "GATEWATCH_POOL_VALIDATE_AFTER",
        30.0,
        _seconds(0, 86400),
        "A connection that was idle for longer than this many seconds is tried with SELECT 1 before use.",
        "30",
    )
    query_timeout: float = _setting(
        "GATEWATCH_QUERY_TIMEOUT", 5.0, _seconds(0.05, 300), "Seconds a query may take.", "5"
    )
    redis_timeout: float = _setting(
        "GATEWATCH_REDIS_TIMEOUT", 0.2, _seconds(0.01, 10), "Seconds a Redis round trip may take, connecting included."
    )
    cache_session: bool = _setting(
        "GATEWATCH_CACHE_SESSION", default=True, parse=_switch, says="Whether sessions are cached.", shown="on"
    )
    cache_session_ttl: float = _setting(
        "GATEWATCH_CACHE_SESSION_TTL",
        365 * 86400.0,
        _seconds(1, 365 * 86400),
        "Seconds a session may be cached, at most; it never is for longer than it lives.",
        "31536000",
    )
    cache_profile: bool = _setting(
        "GATEWATCH_CACHE_PROFILE", default=True, parse=_switch, says="Whether profiles are cached.", shown="on"
    )
    cache_profile_ttl: float = _setting(
        "GATEWATCH_CACHE_PROFILE_TTL", 300.0, _seconds(1, 86400), "Seconds a profile is cached.", "300"
    )
    cache_verified: bool = _setting(
        "GATEWATCH_CACHE_VERIFIED",
        default=True,
        parse=_switch,
        says="Whether it is cached that an address is verified.",
        shown="on",
    )
    cache_verified_ttl: float = _setting(
        "GATEWATCH_CACHE_VERIFIED_TTL",
        3600.0,
        _seconds(1, 86400),
        "Seconds it is cached whether an address is verified.",
        "3600",
    )
    coalescing: bool = _setting(
        "GATEWATCH_COALESCING",
        default=True,
        parse=_switch,
        says="Whether concurrent misses of the same thing in a worker share one load.",
        shown="on",
    )
    hash_memory_kib: int = _setting(
        "GATEWATCH_HASH_MEMORY_KIB",
        7168,
        _integer(7168, 262144),
        "Memory of one argon2id hash in KiB; older hashes are replaced when their owners log in.",
    )
    hash_iterations: int = _setting(
        "GATEWATCH_HASH_ITERATIONS",
        5,
        _integer(1, 16),
        "Passes of one argon2id hash over its memory; with it at least as strong as one of OWASP's equals.",
    )
    hash_threads: int | None = _setting(
        "GATEWATCH_HASH_THREADS",
        None,
        _integer(1, 64),
        "Password hashing threads of each worker.",
        "cores divided among the workers",
    )
    hash_nice: int = _setting(
        "GATEWATCH_HASH_NICE",
        10,
        _integer(0, 19),
        "How far hashing threads step back behind the event loop, on Linux; 0 is not at all.",
    )
    hash_max_time: float | None = _setting(
        "GATEWATCH_HASH_MAX_TIME",
        None,
        _seconds(0.01, 60),
        "Seconds in which a password must be hashed, waiting included; one that would take longer is refused at once, 503.",
        "the target of login",
    )
    hash_queue: int = _setting(
        "GATEWATCH_HASH_QUEUE",
        64,
        _integer(1, 10000),
        "Passwords of each worker that may wait to be hashed, however quick that is; then 503.",
    )
    session_lifetime: float = _setting(
        "GATEWATCH_SESSION_LIFETIME",
        30 * 86400.0,
        _seconds(60, 365 * 86400),
        "Seconds a session lives after login.",
        "2592000",
    )
    session_idle: float = _setting(
        "GATEWATCH_SESSION_IDLE",
        14 * 86400.0,
        _seconds(900, 365 * 86400),
        "Seconds without a request after which a session is over, 5 minutes more at most.",
        "1209600",
    )
    password_min_length: int = _setting(
        "GATEWATCH_PASSWORD_MIN_LENGTH", 8, _integer(8, 128), "Shortest password accepted (15 is recommended)."
    )
    password_blocklist: Path | None = _setting(  # noqa: RUF009 - the same
        "GATEWATCH_PASSWORD_BLOCKLIST",
        DEFAULT_BLOCKLIST,
        _path_or_none,
        "File of common passwords that are refused, one a line, gzipped if its name ends in .gz; or none.",
        "the one in the package",
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = _setting(
        "GATEWATCH_TRUSTED_PROXIES",
        (),
        _networks,
        "Proxies whose X-Forwarded-For is believed: addresses and networks, comma-separated.",
        "none",
    )
    rate_limits: bool = _setting(
        "GATEWATCH_RATE_LIMITS",
        True,  # noqa: FBT003 - a default
        _switch,
        "Whether anything is limited.",
        "on",
    )
    limit_logins: tuple[int, int] = _setting(
        "GATEWATCH_LIMIT_LOGINS", (6000, 60), _rate, "Logins from one client address.", "6000/min"
    )
    limit_registrations: tuple[int, int] = _setting(
        "GATEWATCH_LIMIT_REGISTRATIONS", (6000, 60), _rate, "Registrations from one client address.", "6000/min"
    )
    limit_mails: tuple[int, int] = _setting(
        "GATEWATCH_LIMIT_MAILS",
        (600, 60),
        _rate,
        "Requests from one client address to each of the mail and password endpoints.",
        "600/min",
    )
    limit_checks: tuple[int, int] = _setting(
        "GATEWATCH_LIMIT_CHECKS",
        (600_000, 60),
        _rate,
        "GET /auth/check, and as many GET /auth/me, from one client address to one worker.",
        "600000/min",
    )
    limit_guesses: tuple[int, int] = _setting(
        "GATEWATCH_LIMIT_GUESSES",
        (20, 1800),
        _rate,
        "Wrong passwords for one account from one network (IPv4 /24, IPv6 /64).",
        "20/30min",
    )
    limit_guesses_in_all: tuple[int, int] = _setting(
        "GATEWATCH_LIMIT_GUESSES_IN_ALL",
        (100, 3600),
        _rate,
        "Wrong passwords for one account from everywhere; past it, unknown networks have a fifth of their guesses.",
        "100/h",
    )
    limit_registrations_of_address: tuple[int, int] = _setting(
        "GATEWATCH_LIMIT_REGISTRATIONS_OF_ADDRESS",
        (120, 3600),
        _rate,
        "Registrations of one e-mail address from one network.",
        "120/h",
    )
    limit_mails_to_address: tuple[int, int] = _setting(
        "GATEWATCH_LIMIT_MAILS_TO_ADDRESS",
        (10, 3600),
        _rate,
        "Mails that may be asked for to one e-mail address, whoever asks.",
        "10/h",
    )
    smtp_url: str | None = _setting(
        "SMTP_URL",
        None,
        _smtp_url,
        "Mail server: smtp://user:password@host:port, with ?starttls at its end, or smtps://. Without it, mails are written to files in the folder mail of the data folder.",
        "files",
    )
    mail_from: str = _setting(
        "GATEWATCH_MAIL_FROM",
        "Gatewatch <gatewatch@localhost>",
        _mailbox,
        "Whom mails are from.",
        "gatewatch@localhost",
    )
    public_url: str | None = _setting(
        "GATEWATCH_PUBLIC_URL",
        None,
        _public_url,
        "Where links in mails lead: the pages /verify-email and /reset-password under it.",
        "http://HOST:PORT",
    )
    secret: str | None = _setting(
        "GATEWATCH_SECRET",
        None,
        _token,
        "Tokens in mails are derived from it; the same for all instances. Without it, one is made up and kept in the data folder.",
        "made up",
    )
    verify_lifetime: float = _setting(
        "GATEWATCH_VERIFY_LIFETIME",
        86400.0,
        _seconds(60, 30 * 86400),
        "Seconds in which an address can be verified by the link that was sent.",
        "86400",
    )
    reset_lifetime: float = _setting(
        "GATEWATCH_RESET_LIFETIME",
        3600.0,
        _seconds(60, 86400),
        "Seconds in which a password can be replaced by the link that was sent.",
        "3600",
    )
    require_verified_email: bool = _setting(
        "GATEWATCH_REQUIRE_VERIFIED_EMAIL",
        default=False,
        parse=_switch,
        says="Whether login is only for verified addresses.",
        shown="off",
    )
    conceal_accounts: bool = _setting(
        "GATEWATCH_CONCEAL_ACCOUNTS",
        default=False,
        parse=_switch,
        says="Whether registration hides that an address is taken; its owner gets a mail. Login is then only for verified addresses, too.",
        shown="off",
    )
    metrics: Literal["local", "on", "off"] = _setting(
        "GATEWATCH_METRICS",
        "local",
        _readers,
        "Who may read `GET /metrics`: local (this machine, past no proxy), on (everybody) or off (nobody).",
    )
    instance: str = _setting("GATEWATCH_INSTANCE", "", str, "Name of this instance in telemetry.", "host name and port")
    log: Literal["auto", "json", "text"] = _setting(
        "GATEWATCH_LOG",
        "auto",
        _log_form,
        "How logs are written: text, json (one object a line), or auto: text at a terminal, else json.",
    )
    server_timing: bool = _setting(
        "GATEWATCH_SERVER_TIMING",
        default=False,
        parse=_switch,
        says="Whether responses tell in a Server-Timing header what they took, and where; it tells strangers, too.",
        shown="off",
    )
    blocked_after: float = _setting(
        "GATEWATCH_BLOCKED_AFTER",
        0.05,
        _seconds(0, 60),
        "Seconds in one go after which whatever holds up a worker's event loop is reported with its stack; 0 reports nothing.",
    )
    trace_url: str = _setting(
        "GATEWATCH_TRACE_URL",
        "",
        _trace_url,
        "Where the console's traces are found in your tracing system: an http or https URL with {trace_id} in it.",
        "none",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read every setting; raise SettingsError for the first that cannot be used. Empty means not set."""
        known = {str(f.metadata["name"]) for f in fields(cls)}
        for name in environment:
            if name.startswith("GATEWATCH_") and name not in known:
                raise SettingsError(f"{name} is not a setting; `gatewatch serve --help` lists them")
        values: dict[str, Any] = {}
        for f in fields(cls):
            name = f.metadata["name"]
            text = environment.get(name, "").strip()
            if not text:
                continue
            try:
                values[f.name] = f.metadata["parse"](text)
            except ValueError as error:
                shown = (
                    "the value given" if "TOKEN" in name or name.endswith(("_URL", "_URLS", "_SECRET")) else repr(text)
                )
                raise SettingsError(f"{name}: {shown} {error}") from None
        settings = cls(**values)
        settings._settle_hash_cost()
        return settings

    def _settle_hash_cost(self) -> None:
        memory, iterations = self.hash_memory_kib, self.hash_iterations
        if not any(memory >= least and iterations >= passes for least, passes in OWASP_ARGON2ID):
            equals = ", ".join(f"{least} and {passes}" for least, passes in OWASP_ARGON2ID)
            raise SettingsError(
                f"GATEWATCH_HASH_MEMORY_KIB and GATEWATCH_HASH_ITERATIONS: {memory} and {iterations} are weaker than each of {equals}"
            )
        if memory * iterations > _MOST_WORK:
            raise SettingsError(
                f"GATEWATCH_HASH_MEMORY_KIB times GATEWATCH_HASH_ITERATIONS: {memory} times {iterations} must be at most {_MOST_WORK}"
            )

    @property
    def link_base(self) -> str:
        """Where links in mails begin; never taken from a request."""
        if self.public_url:
            return self.public_url
        host = "127.0.0.1" if self.host in {"", "0.0.0.0", "::"} else self.host  # noqa: S104 - everywhere includes loopback
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def pool_size_of_worker(self) -> int:
        """How many connections one worker may hold."""
        return max(1, self.pool_size // self.workers)

    @property
    def most_pool_size_of_worker(self) -> int:
        """How many connections one worker may be made to hold while it serves."""
        return max(4 * self.pool_size_of_worker, 40 // self.workers)

    @property
    def max_connections_of_worker(self) -> int:
        """How many clients one worker may be connected to."""
        return max(1, self.max_connections // self.workers)

    def hash_threads_of_worker(self, number: int) -> int:
        """How many threads of a worker hash. Together, workers 1 to N have one for each core, and each has one at least."""
        each, more = divmod(cores(), self.workers)
        return self.hash_threads or max(1, each + (number <= more))

    @property
    def load_allowed(self) -> bool:
        """Whether the console may start load runs."""
        return self.database_url is None if self.load is None else self.load


@dataclass(frozen=True, slots=True)
class Field:
    """One setting as documentation shows it."""

    name: str
    default: str
    says: str


FIELDS: tuple[Field, ...] = tuple(
    Field(f.metadata["name"], f.metadata["shown"], f.metadata["says"]) for f in fields(Settings)
)
