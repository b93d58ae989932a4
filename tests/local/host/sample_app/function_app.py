"""A function of each kind, which keeps what it gets in lists that the tests read."""

import asyncio
import threading
import typing
from dataclasses import dataclass, field

import azure.functions as func

app = func.FunctionApp()


@dataclass
class Batch:
    """One invocation of `collect`."""

    partition: str
    bodies: list[bytes]
    numbers: list[int | None]
    events: list[func.EventHubEvent] = field(repr=False)
    retry: tuple[int, int, str]


batches: list[Batch] = []
ticks: list[tuple[func.TimerRequest, int, str]] = []
requests: list[func.HttpRequest] = []
ticks_to_fail = 0
held = asyncio.Event()


@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%HUB%",
    connection="Events",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
@app.retry(
    strategy="exponential_backoff", max_retry_count="2", minimum_interval="00:00:02", maximum_interval="00:01:00"
)
async def collect(
    events: typing.List[func.EventHubEvent],  # noqa: UP006 - the worker library does not load list[...]
    context: func.Context,
) -> None:
    """Take a batch; a body `bad` fails, a body `hold` waits for `held`."""
    metadata = events[0].metadata
    assert metadata is not None
    bodies = [event.get_body() for event in events]
    retry: typing.Any = context.retry_context
    batches.append(
        Batch(
            metadata["PartitionContext"]["PartitionId"],
            bodies,
            [event.sequence_number for event in events],
            list(events),
            (retry.retry_count, retry.max_retry_count, str(retry.rpc_exception.message)),
        )
    )
    if b"hold" in bodies:
        await held.wait()
    if b"bad" in bodies:
        raise ValueError("a bad event")


@app.timer_trigger(arg_name="timer", schedule="%SCHEDULE%")
@app.retry(strategy="fixed_delay", max_retry_count="1", delay_interval="00:00:05")
def tick(timer: func.TimerRequest, context: func.Context) -> None:
    """Fail for the next `ticks_to_fail` calls."""
    global ticks_to_fail  # noqa: PLW0603 - a function app has its module alone to keep something in
    ticks.append((timer, context.retry_context.retry_count, threading.current_thread().name))
    if ticks_to_fail:
        ticks_to_fail -= 1
        raise RuntimeError("a bad tick")


@app.route("devices/{id}", methods=["GET"])
def device(req: func.HttpRequest) -> func.HttpResponse:
    """Ask for a key."""
    requests.append(req)
    return func.HttpResponse('{"ok": true}', status_code=203, headers={"X-Made-By": "sample"}, mimetype="text/json")


@app.route("echo/{*rest}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    """Give the body back."""
    requests.append(req)
    return func.HttpResponse(req.get_body(), mimetype="application/octet-stream")


@app.route("broken", auth_level=func.AuthLevel.ANONYMOUS)
def broken(req: func.HttpRequest) -> str:
    """Fail."""
    raise LookupError(req.method)
