"""What can go wrong before a single measured request is sent. Failures after that are results, not errors.

``LoadError``
    ``PlanError``      the scenario cannot be used
    ``TargetError``    the target's address cannot be used, or nobody is there
    ``PrepareError``   the virtual users could not be prepared
    ``PartError``      a sending process ended before its time
    ``FolderError``    the run's folder cannot be written
    ``HistoryError``   a run that is over cannot be read
    ``IncomparableError``  two runs cannot be compared
"""

from __future__ import annotations


class LoadError(Exception):
    """A load run cannot be done; the message is one clear line."""


class PlanError(LoadError):
    """The scenario is unknown, is not TOML, or says something that cannot be."""


class TargetError(LoadError):
    """The address of the target is not one that this generator can use, or it takes no connection."""


class PrepareError(LoadError):
    """The target cannot be reached, or does not answer as the journeys need."""


class PartError(LoadError):
    """A sending process is gone, and what it had not handed over with it."""


class FolderError(LoadError):
    """The folder of the run cannot be made or written."""


class HistoryError(LoadError):
    """There is no such run, or what it left cannot be read."""


class IncomparableError(LoadError):
    """The two runs did not do the same, or one of them proves nothing."""
