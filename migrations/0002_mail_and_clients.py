from uuid import uuid4

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import UniqueConstraint


class Migration(migrations.Migration):
    dependencies = [("gatewatch", "0001_first")]

    initial = False

    operations = [
        ops.CreateModel(
            name="EmailToken",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "gatewatch.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="email_tokens",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("purpose", fields.CharField(max_length=16)),
                ("token_hash", fields.BinaryField()),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("used_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "email_tokens",
                "app": "gatewatch",
                "indexes": [
                    Index(fields=["user_id"], name="idx_email_tokens_user_id"),
                    Index(fields=["expires_at"], name="idx_email_tokens_expires_at"),
                ],
                "pk_attr": "id",
                "table_description": "Secrets sent by mail",
            },
            bases=["Model"],
        ),
        ops.AddConstraint("EmailToken", UniqueConstraint(fields=("token_hash",), name="idx_email_tokens_token")),
        ops.CreateModel(
            name="OutboxMail",
            fields=[
                ("id", fields.UUIDField(primary_key=True, default=uuid4, unique=True, db_index=True)),
                ("recipient", fields.CharField(max_length=320)),
                ("kind", fields.CharField(max_length=32)),
                ("email_token_id", fields.UUIDField(null=True)),
                ("attempts", fields.IntField(default=0)),
                ("due_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "outbox",
                "app": "gatewatch",
                "indexes": [Index(fields=["due_at"], name="idx_outbox_due_at")],
                "pk_attr": "id",
                "table_description": "Mails to be sent",
            },
            bases=["Model"],
        ),
        ops.AddField(
            model_name="Session",
            name="address",
            field=fields.CharField(null=True, max_length=45),
        ),
        ops.AddField(
            model_name="Session",
            name="client",
            field=fields.CharField(null=True, max_length=255),
        ),
    ]
