"""Every statement that the service can run on its stores' rows."""

from __future__ import annotations

import importlib
import pkgutil

import app.repositories
from app.storage.database import Statement


def statements() -> list[Statement]:
    """Find every statement that any repository can run, by name."""
    names = [module.name for module in pkgutil.walk_packages(app.repositories.__path__, "app.repositories.")]
    modules = [importlib.import_module(name) for name in names if name != __name__]
    found = {value.name: value for module in modules for value in vars(module).values() if isinstance(value, Statement)}
    return list(found.values())
