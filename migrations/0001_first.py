from uuid import uuid4

from tortoise import fields, migrations
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import UniqueConstraint


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="PendingInvalidation",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("cache_keys", ArrayField(element_type="TEXT")),
            ],
            options={
                "table": "pending_invalidations",
                "table_description": "Cache keys to be deleted",
                "app": "gatewatch",
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="User",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("email", fields.CharField(max_length=320)),
                ("email_verified_at", fields.DatetimeField(null=True)),
                ("password_hash", fields.CharField(max_length=255)),
                ("role", fields.CharField(default="user", max_length=16)),
                ("disabled_at", fields.DatetimeField(null=True)),
                ("created_at", fields.DatetimeField()),
            ],
            options={"table": "users", "table_description": "Accounts", "app": "gatewatch", "pk_attr": "id"},
            bases=["Model"],
        ),
        ops.AddConstraint("User", UniqueConstraint(fields=("email",), name="idx_users_email")),
        # The load generator's accounts can be found and purged without reading everybody else's.
        ops.RunSQL(
            "CREATE INDEX idx_users_load ON users (id) WHERE email LIKE '%@load.invalid'",
            "DROP INDEX idx_users_load",
        ),
        ops.CreateModel(
            name="Profile",
            fields=[
                (
                    "user",
                    fields.OneToOneField(
                        "gatewatch.User",
                        source_field="user_id",
                        primary_key=True,
                        db_index=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="profile",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("name", fields.CharField(null=True, max_length=100)),
                ("bio", fields.CharField(null=True, max_length=1000)),
                ("avatar_url", fields.CharField(null=True, max_length=2048)),
                ("locale", fields.CharField(null=True, max_length=35)),
                ("timezone", fields.CharField(null=True, max_length=64)),
                ("updated_at", fields.DatetimeField()),
            ],
            options={
                "table": "profiles",
                "table_description": "What people say of themselves",
                "app": "gatewatch",
                "pk_attr": "user_id",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Session",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "gatewatch.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="sessions",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("token_hash", fields.BinaryField()),
                ("created_at", fields.DatetimeField()),
                ("last_seen_at", fields.DatetimeField()),
                ("expires_at", fields.DatetimeField()),
            ],
            options={
                "table": "sessions",
                "table_description": "Logins",
                "app": "gatewatch",
                "indexes": [
                    Index(fields=["user_id"], name="idx_sessions_user_id"),
                    Index(fields=["expires_at"], name="idx_sessions_expires_at"),
                ],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        ops.AddConstraint("Session", UniqueConstraint(fields=("token_hash",), name="idx_sessions_token")),
        # Tortoise takes the relation's name for the key when it builds its state; without this it finds a change for ever.
        ops.AlterModelOptions(
            name="Profile",
            options={
                "table": "profiles",
                "table_description": "What people say of themselves",
                "app": "gatewatch",
                "pk_attr": "user_id",
            },
        ),
    ]
