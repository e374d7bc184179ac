from tortoise import migrations
from tortoise.migrations import operations as ops

TABLES = ("users", "profiles", "sessions", "email_tokens")


class Migration(migrations.Migration):
    dependencies = [("gatewatch", "0003_tokens_beside_users")]

    initial = False

    # No index is of what changes in their rows. A new version that finds room on the page of the old one leaves every index
    # alone (HOT); from a full page it would move, and each index be written.
    operations = [
        ops.RunSQL(f"ALTER TABLE {table} SET (fillfactor = 90)", f"ALTER TABLE {table} RESET (fillfactor)")
        for table in TABLES
    ]
