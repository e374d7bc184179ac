"""A local PostgreSQL and Redis for a machine that has neither.

Each runs under a guard that stops it when its starter is gone, however the starter went, so nothing is orphaned.
"""

from app.embedded.errors import EmbeddedError
from app.embedded.place import discard
from app.embedded.postgres import start_postgres
from app.embedded.redis import start_redis
from app.embedded.server import Server

__all__ = ["EmbeddedError", "Server", "discard", "start_postgres", "start_redis"]
