"""What a PostgreSQL says of itself: whose data it has, whether it follows another server, how far it is in the log.

``identity`` is the same on a primary and its physical replicas, and of no other database. ``position`` counts the bytes
of the write-ahead log: all that was committed before a primary named a position is on a replica that names no lower one.
"""

_IDENTITY = "system_identifier || '/' || (SELECT oid FROM pg_database WHERE datname = current_database()) AS identity"

PRIMARY = f"""
    SELECT {_IDENTITY}, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8 AS position FROM pg_control_system()
"""  # noqa: S608 - a constant of ours
REPLICA = f"""
    SELECT {_IDENTITY}, pg_is_in_recovery() AS follows,
           pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::int8 AS position
    FROM pg_control_system()
"""  # noqa: S608 - the same
