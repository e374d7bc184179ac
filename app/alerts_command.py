"""The command `alerts rules`."""

from __future__ import annotations

import os

import click

from app.settings import Settings, SettingsError


@click.group("alerts", short_help="Take the alerts elsewhere.")
def alerts_commands() -> None:
    """Take the alerts elsewhere."""


@alerts_commands.command("rules", short_help="Print a Prometheus rules file.")
def rules() -> None:
    """Print a Prometheus rules file, made from the targets file (GATEWATCH_SLO)."""
    from observability.model import SloError, load_slo  # noqa: PLC0415 - quick --help
    from observability.read.prometheus_rules import rules_file  # noqa: PLC0415 - the same
    from observability.telemetry import INTERNAL  # noqa: PLC0415 - the same

    try:
        slo = load_slo(Settings.from_environment(os.environ).slo)
    except SloError as error:
        raise SettingsError(f"GATEWATCH_SLO: {error}") from None
    click.echo(rules_file(slo, INTERNAL), nl=False)
