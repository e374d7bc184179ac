"""The tables, as Tortoise models. Constraint and index names are part of the contract: tests read them in the catalog."""

from __future__ import annotations

from tortoise import fields
from tortoise.contrib.postgres.fields import ArrayField
from tortoise.indexes import Index
from tortoise.migrations.constraints import UniqueConstraint
from tortoise.models import Model


class User(Model):
    """An account. ``email`` is normalised before it gets here."""

    id = fields.UUIDField(primary_key=True)
    email = fields.CharField(max_length=320)
    email_verified_at = fields.DatetimeField(null=True)
    password_hash = fields.CharField(max_length=255)
    role = fields.CharField(max_length=16, default="user")
    disabled_at = fields.DatetimeField(null=True)
    created_at = fields.DatetimeField()

    class Meta:
        """Names."""

        table = "users"
        table_description = "Accounts"
        constraints = (UniqueConstraint(fields=("email",), name="idx_users_email"),)


class Profile(Model):
    """What a person says of themselves; one for every account."""

    user: fields.OneToOneRelation[User] = fields.OneToOneField(
        "gatewatch.User", related_name="profile", primary_key=True, on_delete=fields.CASCADE
    )
    name = fields.CharField(max_length=100, null=True)
    bio = fields.CharField(max_length=1000, null=True)
    avatar_url = fields.CharField(max_length=2048, null=True)
    locale = fields.CharField(max_length=35, null=True)
    timezone = fields.CharField(max_length=64, null=True)
    updated_at = fields.DatetimeField()

    class Meta:
        """Names."""

        table = "profiles"
        table_description = "What people say of themselves"


class Session(Model):
    """A login. Only the SHA-256 of the token's secret is kept.

    A token is a user and a secret, and its index is of both: one user's lie on one page of it, whichever way they are
    looked for.
    """

    id = fields.UUIDField(primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "gatewatch.User", related_name="sessions", on_delete=fields.CASCADE, db_index=False
    )
    token_hash = fields.BinaryField()
    created_at = fields.DatetimeField()
    last_seen_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    address = fields.CharField(max_length=45, null=True)
    client = fields.CharField(max_length=255, null=True)

    class Meta:
        """Names."""

        table = "sessions"
        table_description = "Logins"
        constraints = (UniqueConstraint(fields=("user_id", "token_hash"), name="idx_sessions_token"),)
        indexes = (Index(fields=("expires_at",), name="idx_sessions_expires_at"),)


class PendingInvalidation(Model):
    """Cache keys that a write made stale, kept until they are known to be deleted."""

    id = fields.UUIDField(primary_key=True)
    cache_keys = ArrayField(element_type="text")

    class Meta:
        """Names."""

        table = "pending_invalidations"
        table_description = "Cache keys to be deleted"


class EmailToken(Model):
    """A secret that was mailed to prove that a mailbox is read. Only its SHA-256 is kept."""

    id = fields.UUIDField(primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "gatewatch.User", related_name="email_tokens", on_delete=fields.CASCADE, db_index=False
    )
    purpose = fields.CharField(max_length=16)
    token_hash = fields.BinaryField()
    expires_at = fields.DatetimeField()
    used_at = fields.DatetimeField(null=True)

    class Meta:
        """Names."""

        table = "email_tokens"
        table_description = "Secrets sent by mail"
        constraints = (UniqueConstraint(fields=("token_hash",), name="idx_email_tokens_token"),)
        indexes = (
            Index(fields=("user_id",), name="idx_email_tokens_user_id"),
            Index(fields=("expires_at",), name="idx_email_tokens_expires_at"),
        )


class OutboxMail(Model):
    """A mail to be sent. It carries no secret: the token in it is derived when it is sent."""

    id = fields.UUIDField(primary_key=True)
    recipient = fields.CharField(max_length=320)
    kind = fields.CharField(max_length=32)
    email_token_id = fields.UUIDField(null=True)
    attempts = fields.IntField(default=0)
    due_at = fields.DatetimeField()

    class Meta:
        """Names."""

        table = "outbox"
        table_description = "Mails to be sent"
        indexes = (Index(fields=("due_at",), name="idx_outbox_due_at"),)
