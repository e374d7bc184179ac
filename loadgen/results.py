"""What a run says about itself: its status, once a second, and its full result at the end. All durations are seconds."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from loadgen.errors import FolderError
from loadgen.files import write_whole
from loadgen.intervals import Interval
from loadgen.scenario import Scenario
from loadgen.service_figures import ServiceFigures, Trend
from loadgen.verdicts import Validity, Verdict
from observability.model import Distribution, Slo

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.columns import Columns

State = Literal["preparing", "running", "draining", "done", "failed", "interrupted"]
FINISHED: frozenset[State] = frozenset({"done", "failed", "interrupted"})

STATUS_FILE = "status.json"
RESULT_FILE = "result.json"
COLUMNS_FILE = "columns.json"
RESULT_VERSION = 2
"""Of result.json; a reader that knows another refuses it."""

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,54}")
"""What a run may be called: it names a folder, and it stands in the addresses of its users (64 characters before the @)."""


class EndpointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint so far. Percentiles are of response time, from the intended time; None means no sample, or no target.

    ``p95_interval`` holds the true p95 with 95 % confidence; it is there once the run has ended, with enough samples.
    """

    name: str
    method: str
    route: str
    count: int = 0
    errors: int = 0
    shed: int = 0
    failures: dict[str, int] = {}
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    p95_interval: Interval | None = None
    target: float | None = None
    verdict: Verdict | None = None


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One run so far.

    ``started`` and ``updated`` are Unix seconds; ``seconds`` is the planned duration and ``elapsed`` how much of it has passed;
    ``planned``, ``due``, ``sent`` and ``completed`` count requests (of the whole plan, fallen due, sent, ended), and ``rate`` is requests completed a second since the start;
    ``prepared`` of ``users`` are ready; ``errors`` holds ``shed`` (503 and 429); ``cut`` counts journeys that the end of the run cut short; ``message`` is a sentence for a person.
    """

    run: str
    scenario: str
    state: State
    started: float
    updated: float
    pid: int
    target: str
    seconds: float
    users: int
    prepared: int = 0
    elapsed: float = 0.0
    planned: int = 0
    due: int = 0
    sent: int = 0
    completed: int = 0
    errors: int = 0
    shed: int = 0
    in_flight: int = 0
    waiting: int = 0
    rate: float = 0.0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    lag_p99: float | None = None
    cut: int = 0
    verdict: Verdict | None = None
    validity: Validity | None = None
    message: str = ""
    endpoints: tuple[EndpointStatus, ...] = ()


class Block(msgspec.Struct, frozen=True):
    """What became of one endpoint's requests that were intended ``at`` seconds after the start or later, within one block.

    ``response`` holds every one of them, ``service`` those that were answered; ``outcomes`` counts them by how they ended:
    ``ok``, or the kind of failure.
    """

    at: int
    response: Distribution
    service: Distribution
    outcomes: dict[str, int]


class Moment(msgspec.Struct, frozen=True):
    """The generator within one block: how many requests fell due, were sent and ended in it, and how late they left.

    ``lag`` is of every request, ``wait`` of those that then had to wait for a connection or a user; ``in_flight`` and
    ``waiting`` are the most that one process saw at once.
    """

    at: int
    planned: int
    sent: int
    completed: int
    lag: Distribution
    wait: Distribution
    in_flight: int = 0
    waiting: int = 0


class Slow(msgspec.Struct, frozen=True):
    """One of the slowest requests: intended ``at`` seconds after the start, and where its time went.

    ``asked`` says whether the service was asked to keep its trace.
    """

    at: float
    response: float
    service: float
    wait: float
    connect: float
    first_byte: float
    status: int
    outcome: str
    trace_id: str
    asked: bool = False


class Example(msgspec.Struct, frozen=True):
    """One of the first requests that ended in some kind of failure. ``detail`` is what was said, cut short."""

    at: float
    outcome: str
    status: int
    detail: str
    trace_id: str


class EndpointResult(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint in full: what ended how, its distributions, as a whole and block by block, and what stood out."""

    name: str
    statuses: dict[str, int]
    failures: dict[str, int]
    response: Distribution
    service: Distribution
    connect: Distribution
    method: str = ""
    route: str = ""
    first_byte: Distribution = Distribution()
    blocks: tuple[Block, ...] = ()
    slowest: tuple[Slow, ...] = ()
    examples: tuple[Example, ...] = ()


class ProcessUse(msgspec.Struct, frozen=True, kw_only=True):
    """What one sending process used while it measured: CPU seconds, seconds ready to run and waiting for a core, peak bytes."""

    number: int
    pid: int
    seconds: float
    cpu: float
    run_queue: float | None = None
    slices: int | None = None
    rss: int | None = None


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What two runs must have in common to be compared. ``steal`` is the share of the machine's time that others took."""

    target: str
    seed: int
    scenario_hash: str
    processes: int
    connections: int
    versions: dict[str, str]
    slo: Slo
    machine: str
    cpus: int
    steal: float | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The whole result, enough to judge the run again.

    ``cpu`` is CPU seconds of the sending processes while they measured; ``block_seconds`` is the length of every block,
    which doubles when a run gets long; ``invalid`` gives the reasons why the run proves nothing, ``stopped`` which stop rule
    ended it; ``samples`` names the files of raw samples in the run's folder; ``service`` is what was seen of the service itself
    while the run lasted, and ``trends`` what was judged of it.
    """

    version: int
    status: RunStatus
    scenario: Scenario
    fewest_samples: int
    lag_allowed: float
    lag: Distribution
    cpu: float
    endpoints: tuple[EndpointResult, ...]
    wait: Distribution = Distribution()
    environment: Environment | None = None
    block_seconds: int = 1
    moments: tuple[Moment, ...] = ()
    processes: tuple[ProcessUse, ...] = ()
    invalid: tuple[str, ...] = ()
    stopped: str = ""
    samples: tuple[str, ...] = ()
    service: ServiceFigures | None = None
    trends: tuple[Trend, ...] = ()


def new_run_id(scenario: str, at: float) -> str:
    """Return a name for a run that begins at ``at`` (Unix seconds): UTC time, scenario, and 16 random bits."""
    return f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%S}-{scenario}-{secrets.token_hex(2)}"


class RunFolder:
    """The folder of one run, ``DATA_DIR/runs/ID``."""

    def __init__(self, data_dir: Path, run: str) -> None:
        self.path = data_dir / "runs" / run

    def create(self) -> None:
        """Make the folder; raise FolderError when it exists already or cannot be made."""
        try:
            self.path.mkdir(parents=True)
        except FileExistsError:
            raise FolderError(f"{self.path} exists already; give the run another --run-id or --data-dir") from None
        except OSError as error:
            raise FolderError(f"cannot make {self.path}: {error.strerror}") from error

    def write_status(self, status: RunStatus) -> None:
        """Replace the status; raise FolderError when it cannot be written."""
        write_whole(self.path / STATUS_FILE, msgspec.json.encode(status))

    def write_columns(self, columns: Columns) -> None:
        """Replace the columns; raise FolderError when they cannot be written."""
        write_whole(self.path / COLUMNS_FILE, msgspec.json.encode(columns))

    def write_result(self, result: Result) -> None:
        """Write the result; raise FolderError when it cannot be written."""
        write_whole(self.path / RESULT_FILE, msgspec.json.encode(result))
