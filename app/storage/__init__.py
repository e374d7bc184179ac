"""PostgreSQL by Tortoise ORM, and Redis."""
