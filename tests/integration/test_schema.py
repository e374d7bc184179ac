"""The database as migrations leave it, read in its own catalog."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg

from app.storage.migrate import migrate

INDEXES = {
    "pending_invalidations_pkey": "UNIQUE (id)",
    "profiles_pkey": "UNIQUE (user_id)",
    "users_pkey": "UNIQUE (id)",
    "idx_users_email": "UNIQUE (email)",
    "idx_users_load": "(id) WHERE ((email)::text ~~ '%@load.invalid'::text)",
    "sessions_pkey": "UNIQUE (id)",
    "idx_sessions_token": "UNIQUE (user_id, token_hash)",
    "idx_sessions_expires_at": "(expires_at)",
    "email_tokens_pkey": "UNIQUE (id)",
    "idx_email_tokens_token": "UNIQUE (token_hash)",
    "idx_email_tokens_user_id": "(user_id)",
    "idx_email_tokens_expires_at": "(expires_at)",
    "outbox_pkey": "UNIQUE (id)",
    "idx_outbox_due_at": "(due_at)",
}

CONSTRAINTS = {
    "pending_invalidations_pkey": "PRIMARY KEY (id)",
    "users_pkey": "PRIMARY KEY (id)",
    "idx_users_email": "UNIQUE (email)",
    "profiles_pkey": "PRIMARY KEY (user_id)",
    "profiles_user_id_fkey": "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE",
    "sessions_pkey": "PRIMARY KEY (id)",
    "idx_sessions_token": "UNIQUE (user_id, token_hash)",
    "email_tokens_pkey": "PRIMARY KEY (id)",
    "idx_email_tokens_token": "UNIQUE (token_hash)",
    "email_tokens_user_id_fkey": "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE",
    "outbox_pkey": "PRIMARY KEY (id)",
    "sessions_user_id_fkey": "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE",
}

ROOT = Path(__file__).parents[2]


async def test_every_index_is_there(database_url: str) -> None:
    """The catalog has exactly the indexes that the design names, with their columns and conditions."""
    sql = await asyncpg.connect(database_url)
    rows = await sql.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'tortoise_migrations'"
    )
    await sql.close()
    found = {
        row["indexname"]: ("UNIQUE " if " UNIQUE " in row["indexdef"] else "") + row["indexdef"].partition("btree ")[2]
        for row in rows
    }
    assert found == INDEXES


async def test_every_constraint_is_there(database_url: str) -> None:
    """The catalog has exactly the keys and references that the models name; Tortoise is known to drop some silently."""
    sql = await asyncpg.connect(database_url)
    rows = await sql.fetch(
        """
        SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
          AND conrelid <> 'tortoise_migrations'::regclass
        """
    )
    await sql.close()
    assert {row["conname"]: row["definition"] for row in rows} == CONSTRAINTS


async def test_what_is_updated_has_room_beside_it(database_url: str) -> None:
    """Pages of the tables whose rows change are not filled, so that a change writes one page and no index."""
    sql = await asyncpg.connect(database_url)
    rows = await sql.fetch(
        "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL"
    )
    await sql.close()
    found = {(row["relname"], *row["reloptions"]) for row in rows}
    assert found == {(table, "fillfactor=90") for table in ("users", "profiles", "sessions", "email_tokens")}


async def test_instances_that_start_together_migrate_once(empty_database: str) -> None:
    """Migrations run at the same time on a fresh database take turns, and every one succeeds."""
    await asyncio.gather(*(migrate(empty_database) for _ in range(4)))
    sql = await asyncpg.connect(empty_database)
    applied = await sql.fetch("SELECT name FROM tortoise_migrations")
    await sql.close()
    files = sorted(path.stem for path in (ROOT / "migrations").glob("0*.py"))
    assert sorted(row["name"] for row in applied) == files


def test_the_models_have_no_change_without_a_migration(empty_database: str) -> None:
    """Tortoise's own autodetector finds nothing to add to the migrations."""
    done = subprocess.run(
        [sys.executable, "-m", "tortoise", "makemigrations"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": empty_database},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No changes detected" in done.stdout, done.stdout + done.stderr
