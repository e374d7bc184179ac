"""The launcher: one small process that owns every other process of an instance.

It replaces what dies, and each child holds a lifeline to it, so that nothing outlives it however it ends.
"""

from app.launcher.errors import LauncherError
from app.launcher.folder import Instance, running_instance
from app.launcher.supervisor import Launcher

__all__ = ["Instance", "Launcher", "LauncherError", "running_instance"]
