from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import UniqueConstraint


class Migration(migrations.Migration):
    dependencies = [("gatewatch", "0002_mail_and_clients")]

    initial = False

    # A token names its user, so the hashes of one user's tokens can lie side by side: a login then writes one page of one
    # index where it wrote a page at random of each of two.
    operations = [
        ops.RemoveIndex(model_name="Session", name="idx_sessions_user_id"),
        ops.RemoveConstraint(model_name="Session", name="idx_sessions_token"),
        ops.AddConstraint(
            model_name="Session",
            constraint=UniqueConstraint(fields=("user_id", "token_hash"), name="idx_sessions_token"),
        ),
    ]
