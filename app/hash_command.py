"""The command `hash calibrate`."""

from __future__ import annotations

import math
import os

import click

from app.settings import OWASP_ARGON2ID, cores

USABLE = 0.8
"""Of what the threads can hash: past it the queue grows faster than it may, and the event loops need something too."""

PEAK = 5000
"""Logins a minute that the service is meant to bear at its peak."""


@click.group("hash", short_help="Measure password hashing.")
def hash_commands() -> None:
    """Measure password hashing."""


@hash_commands.command("calibrate", short_help="Measure argon2id on this machine and recommend settings.")
@click.option(
    "--threads",
    type=click.IntRange(1, 64),
    default=cores,
    show_default="one for each core",
    help="Threads that hash at the same time.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.05, 60),
    default=1.5,
    show_default=True,
    help="How long each strength is measured.",
)
@click.option(
    "--target-ms", type=click.FloatRange(1), help="Use the strongest that hashes within so many milliseconds."
)
@click.option("--logins", type=click.FloatRange(0.1), help="Use the strongest that bears so many logins a second.")
def calibrate(threads: int, seconds: float, target_ms: float | None, logins: float | None) -> None:
    """Measure what OWASP's equal strengths of argon2id cost on this machine, and recommend settings.

    Leave the machine alone while it measures. Without a target, the quickest of the equals is recommended.
    """
    from app.security.calibration import compare, recommend  # noqa: PLC0415 - quick --help
    from app.security.hashes import Parameters  # noqa: PLC0415 - the same

    click.echo(f"argon2id in {threads} {'thread' if threads == 1 else 'threads'} on {os.cpu_count()} cores")
    click.echo("memory KiB  passes  ms a hash  hashes/s  logins/min  instances for 5,000/min")
    costs = compare([Parameters(*equal) for equal in OWASP_ARGON2ID], threads, seconds)
    for cost in costs:
        bearable = cost.rate * USABLE * 60
        click.echo(
            f"{cost.parameters.memory_kib:10}  {cost.parameters.iterations:6}  {cost.seconds * 1000:9.1f}  {cost.rate:8.1f}  {bearable:10,.0f}"
            f"  {math.ceil(PEAK / bearable):23}"
        )
    click.echo(f"Logins are reckoned at {USABLE:.0%} of the hashes, so that few have to wait.")
    chosen = recommend(costs, seconds=target_ms and target_ms / 1000, rate=logins and logins / USABLE)
    if chosen is None:
        quickest = max(costs, key=lambda cost: cost.rate)
        need = math.ceil(logins / USABLE / quickest.rate) if logins else 1
        by = (
            f"it takes {need} such instances"
            if need > 1
            else "take a faster machine, or fewer threads on more instances"
        )
        raise click.ClickException(f"this machine cannot do that at OWASP's strength; {by}")
    click.echo(f"GATEWATCH_HASH_MEMORY_KIB={chosen.memory_kib} GATEWATCH_HASH_ITERATIONS={chosen.iterations}")
