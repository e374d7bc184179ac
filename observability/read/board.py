"""The alerts' states and how findings move them: pure, so that whoever takes over goes on where another stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from observability.read.view import Alert, AlertState, Transition, View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from observability.read.alerts import Finding

BOARD_KEY = "gatewatch:{alerts}:board"
"""Where the fleet's board is kept."""

BOARD_VERSION = 1

SHOWN_SECONDS = 3600.0
"""How long an alert that fired is shown as resolved."""

UNJUDGED_SECONDS = 300.0
"""How long an alert goes on firing without a judgement: that nobody asks is no sign that it is well."""

MOST_SILENT = 30.0
"""Seconds without evaluation after which "for so long" begins anew: nobody knows what was in between."""

MOST_TRANSITIONS = 100
"""Past it the oldest are forgotten."""


class Board(msgspec.Struct, frozen=True):
    """Every alert as of ``at``, and the latest transitions, newest first."""

    version: int = BOARD_VERSION
    at: float = 0.0
    alerts: tuple[Alert, ...] = ()
    transitions: tuple[Transition, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Board)


def encode_board(board: Board) -> bytes:
    """Return a board as MessagePack."""
    return _encoder.encode(board)


def decode_board(raw: bytes | None) -> Board | None:
    """Read a board; None for nothing, other bytes or another version."""
    try:
        board = _decoder.decode(raw or b"")
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    return board if board.version == BOARD_VERSION else None


def with_board(view: View, board: Board | None) -> View:
    """Return a view with the alerts of a board."""
    if board is None:
        return view
    return msgspec.structs.replace(view, alerts=board.alerts, transitions=board.transitions, alerts_at=board.at)


def advance(board: Board | None, found: Iterable[Finding], now: float) -> tuple[Board, tuple[Transition, ...]]:
    """Return the board after an evaluation, and what has changed on it."""
    before = {(alert.rule, alert.subject): alert for alert in board.alerts} if board else {}
    alerts, changes = [], []
    for finding in found:
        old = before.get((finding.rule, finding.subject))
        was: AlertState = old.state if old else "ok"
        state = _next(old, finding, now)
        began_anew = old is None or state != was or (state == "pending" and now - old.at > MOST_SILENT)
        judged = now if finding.judgement in {"above", "within"} or old is None else old.judged
        alerts.append(
            Alert(
                finding.rule,
                finding.subject,
                state,
                now if began_anew or old is None else min(old.since, now),
                now,
                judged,
                finding.figure,
                finding.threshold,
                finding.reason,
                finding.unit,
            )
        )
        if state != was:
            changes.append(Transition(now, finding.rule, finding.subject, was, state, finding.reason))
    told = tuple(change for change in changes if {change.was, change.state} & {"pending", "firing"})
    history = (*reversed(told), *(board.transitions if board else ()))[:MOST_TRANSITIONS]
    return Board(at=now, alerts=tuple(alerts), transitions=history), told


def _next(old: Alert | None, finding: Finding, now: float) -> AlertState:
    was: AlertState = old.state if old else "ok"
    if finding.judgement == "above":
        return _above(old, finding, now)
    if was == "firing" and finding.judgement != "within" and old and now - old.judged < UNJUDGED_SECONDS:
        return "firing"
    if was == "firing" or (was == "resolved" and old and now - old.since < SHOWN_SECONDS):
        return "resolved"
    return "ok" if finding.judgement == "within" else finding.judgement


def _above(old: Alert | None, finding: Finding, now: float) -> AlertState:
    if finding.for_seconds <= 0 or (old and old.state == "firing"):
        return "firing"
    if old is None or old.state != "pending" or now - old.at > MOST_SILENT:
        return "pending"
    return "firing" if now - old.since >= finding.for_seconds else "pending"
