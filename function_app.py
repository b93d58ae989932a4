"""The triggers of the app. Each calls one method of status_app."""

import os
from typing import List  # noqa: UP035 (the worker library does not load an annotation `list[EventHubEvent]`)

import azure.functions as func

from status_app.http.blueprint import http_blueprint
from status_app.ingest.event_batch import read_batch
from status_app.notify.events import CONSUMER_GROUP
from status_app.notify.targets import read_targets
from status_app.reconcile.twin_changes import MAX_RETRIES
from status_app.services import services
from status_app.settings import Settings, check_trigger, schedule
from status_app.storage.heartbeats import Source
from status_app.telemetry.logs import about, quiet_libraries

quiet_libraries()
Settings.read(os.environ)  # a wrong setting stops the app here, by its name
check_trigger(os.environ)
has_targets = bool(read_targets(os.environ))

app = func.FunctionApp()


@app.function_name("on_twin_changes")
@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%TWIN_CHANGES_HUB%",
    connection="TwinChanges",
    consumer_group="%CONSUMER_GROUP%",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
@app.retry(
    strategy="exponential_backoff",
    max_retry_count=str(MAX_RETRIES),
    minimum_interval="00:00:02",
    maximum_interval="00:01:00",
)
async def on_twin_changes(events: List[func.EventHubEvent], context: func.Context) -> None:  # noqa: UP006 (as above)
    """Look at every device that a batch of twin changes names."""
    retry = context.retry_context
    with about(invocation=context.invocation_id):
        batch = read_batch(events)
        async with services().heartbeats.beating(Source.ON_TWIN_CHANGES, [event.enqueued_time for event in batch]):
            handler = await services().twin_changes()
            await handler.handle(batch, attempt=retry.retry_count if retry else 0)


@app.function_name("flag_stuck")
@app.timer_trigger(arg_name="timer", schedule=schedule(os.environ, "FLAG_STUCK_SCHEDULE"), run_on_startup=False)
async def flag_stuck(timer: func.TimerRequest, context: func.Context) -> None:  # noqa: ARG001 (a binding)
    """Flag modules and devices that are past their grace period, and clear those that have recovered."""
    with about(invocation=context.invocation_id):
        try:
            async with services().heartbeats.beating(Source.FLAG_STUCK):
                await (await services().flag_stuck()).run()
        finally:  # people get what is known, whatever failed
            await services().send_notices()


@app.function_name("resync")
@app.timer_trigger(arg_name="timer", schedule=schedule(os.environ, "RESYNC_SCHEDULE"), run_on_startup=False)
async def resync(timer: func.TimerRequest, context: func.Context) -> None:  # noqa: ARG001 (a binding)
    """Compare every device with its twin, and heal what lost notifications left behind."""
    with about(invocation=context.invocation_id):
        async with services().heartbeats.beating(Source.RESYNC):
            await (await services().resync()).run()


if has_targets:

    @app.function_name("notify")
    @app.event_hub_message_trigger(
        arg_name="events",
        event_hub_name="%TRANSITIONS_HUB%",
        connection="Transitions",
        consumer_group=CONSUMER_GROUP,
        cardinality=func.Cardinality.MANY,
        data_type=func.DataType.BINARY,
    )
    @app.retry(
        strategy="exponential_backoff",
        max_retry_count="-1",  # what a target does not take is kept: only the tables can make it fail
        minimum_interval="00:00:02",
        maximum_interval="00:01:00",
    )
    async def notify(events: List[func.EventHubEvent], context: func.Context) -> None:  # noqa: UP006 (as above)
        """Give the app's own events to the targets that want them."""
        with about(invocation=context.invocation_id):
            await (await services().event_news()).handle(read_batch(events))


app.register_functions(http_blueprint(services))
