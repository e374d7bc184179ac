"""An application that has set a tracer provider of its own keeps it; a process can have only one, so this is another one."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from sanic.compat import Header

from observability.record import provider
from observability.record.current import Current
from observability.record.propagation import Propagation
from observability.record.trace import HeadSampling

theirs, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
theirs.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(theirs)
ours = []
spans = provider.join(Resource.create({}), ALWAYS_ON, ours.append)
tracer = trace.get_tracer("shop")
with tracer.start_as_current_span("outside"):
    pass
request = Current(0.0, Header(), HeadSampling(ratio=1.0))
provider.enter(request, Propagation())
with tracer.start_as_current_span("inside"):
    pass
assert trace.get_tracer_provider() is theirs
assert spans.joined
assert [span.name for span in exporter.get_finished_spans()] == ["outside", "inside"]
assert [span.name for span in request.spans] == ["inside"]
assert f"{request.spans[0].parent.span_id:016x}" == request.span_id
assert ours == []
"""


def test_the_applications_provider_stays() -> None:
    """It exports all its spans, none goes out twice, and those of a request are seen in its trace, below it."""
    ran = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True)  # noqa: S603 - our own
    assert ran.returncode == 0, ran.stderr
