"""Settings of the whole fleet, changed while it serves: each worker looks once a second at what was changed, and puts it in force."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

import msgspec

from app.storage.overrides import Change, Document, OverridesAway
from console.tuning import LiveSetting, SettingChange, SettingInForce, SettingRefused
from observability.read.detail import Annotation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from app.storage.overrides import Overrides
    from app.tuning.knobs import Knob

PERIOD = 1.0
MOST_CHANGES = 50
"""Changes that are remembered; older ones cannot be undone by a click."""

TRIES = 5
AWAY = "Redis is away: settings stay as they are until it is back."
EARLY = "The service has just started; try again in a few seconds."

_logger = logging.getLogger("gatewatch")


class Live:
    """Implements the console's LiveSettings."""

    def __init__(
        self,
        knobs: Sequence[Knob],
        overrides: Overrides,
        in_force: Sequence[SettingInForce],
        note: Callable[[Annotation], Awaitable[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._knobs = {knob.setting.name: knob for knob in knobs}
        self._overrides = overrides
        self._in_force = in_force
        self._note = note
        self._clock = clock
        self._trouble: str | None = None
        self._turn = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take over what the instances hold that live, and go on looking."""
        await self._look()
        self._looking = asyncio.create_task(self._look_each_second(), name="settings")

    async def stop(self) -> None:
        """Look no more; what is in force stays."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    def refusal(self) -> str | None:
        """Say why nothing can be changed, or None."""
        return self._trouble

    def settings(self) -> Sequence[LiveSetting]:
        """Return what can be changed, as it is in force in this worker."""
        return [knob.now() for knob in self._knobs.values()]

    def in_force(self) -> Sequence[SettingInForce]:
        """Return all other settings."""
        return self._in_force

    async def changes(self, most: int = 20) -> Sequence[SettingChange]:
        """Return the latest changes, newest first."""
        return [self._told(change) for change in self._overrides.document.changes[::-1][:most]]

    def wanted(self, name: str, value: str) -> tuple[str, str, str]:
        """Return a setting, its value and another one that it may be changed to; raise SettingRefused."""
        return name, *self._wanted(self._overrides.document, name, value)

    def _wanted(self, document: Document, name: str, value: str) -> tuple[str, str]:
        knob = self._knobs.get(name)
        if knob is None:
            raise SettingRefused("There is no such setting that can be changed here.")
        before, after = self._value(document, name), knob.checked(value)
        if before == after:
            raise SettingRefused(f"{knob.setting.label} is {after} already.")
        return before, after

    async def change(self, name: str, value: str) -> SettingChange:
        """Change a setting of the fleet; raise SettingRefused."""

        def changed(document: Document) -> Document:
            _, after = self._wanted(document, name, value)
            return self._with(document, name, after)

        return await self._replace(changed)

    async def undo(self, number: int) -> SettingChange:
        """Take a change back; raise SettingRefused."""

        def undone(document: Document) -> Document:
            change = next((change for change in document.changes if change.number == number), None)
            if change is None:
                raise SettingRefused("That change is not remembered any more.")
            if change.undone:
                raise SettingRefused("That change was taken back already.")
            if change.name not in self._knobs:
                raise SettingRefused("This version of the service has no such setting.")
            if self._value(document, change.name) != change.after:
                raise SettingRefused("A later change has overtaken that one.")
            marked = tuple(
                msgspec.structs.replace(each, undone=True) if each is change else each for each in document.changes
            )
            return self._with(Document(document.values, marked), change.name, change.former)

        return await self._replace(undone)

    def _with(self, document: Document, name: str, value: str | None) -> Document:
        """Return the document with an override more, or without one when the value is None."""
        former = document.values.get(name)
        values = {each: text for each, text in document.values.items() if each != name}
        if value is not None:
            values[name] = value
        after = value if value is not None else self._knobs[name].setting.starts_as
        number = document.changes[-1].number + 1 if document.changes else 1
        change = Change(number, self._clock(), name, self._value(document, name), after, former)
        return Document(values, (*document.changes, change)[-MOST_CHANGES:])

    def _value(self, document: Document, name: str) -> str:
        return document.values.get(name, self._knobs[name].setting.starts_as)

    async def _replace(self, edit: Callable[[Document], Document]) -> SettingChange:
        """Store what an edit makes of the present document, and put it in force here."""
        async with self._turn:
            try:
                for _ in range(TRIES):
                    await self._overrides.look()
                    if not self._overrides.settled:
                        raise SettingRefused(EARLY)
                    if await self._overrides.replace(edit(self._overrides.document)):
                        break
                else:
                    raise SettingRefused("Somebody else is changing settings at this moment; try again.")
            except OverridesAway:
                self._trouble = AWAY
                raise SettingRefused(AWAY) from None
            finally:
                self._put_in_force()
            told = self._told(self._overrides.document.changes[-1])
        text = f"{told.label}: {told.before} to {told.after}"
        try:
            await self._note(Annotation(at=told.at, kind="setting", text=text))
        except Exception:
            # The change holds, whether charts are marked or not.
            _logger.exception("a change of a setting could not be noted")
        return told

    def _told(self, change: Change) -> SettingChange:
        knob = self._knobs.get(change.name)  # another version of the code may have made it
        label = knob.setting.label if knob else change.name
        return SettingChange(
            change.number, change.at, change.name, label, change.before, change.after, undone=change.undone
        )

    def _put_in_force(self) -> None:
        document = self._overrides.document
        for name, knob in self._knobs.items():
            try:
                value = knob.checked(document.values.get(name, knob.setting.starts_as))
                if value != knob.read():
                    knob.put(value)
            except SettingRefused as error:  # what another instance may have, ours cannot
                _logger.warning("a changed setting is not put in force: %s", error)

    async def _look(self) -> None:
        try:
            async with self._turn:
                if await self._overrides.look():
                    self._put_in_force()
            self._trouble = None
        except OverridesAway:
            self._trouble = AWAY

    async def _look_each_second(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            try:
                await self._look()
            except Exception:
                # One bad second must not end all the following ones.
                _logger.exception("settings could not be looked at")
