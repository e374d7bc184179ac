"""Tortoise migrations. Unique constraints are added by AddConstraint: inside CreateModel they are silently dropped."""
