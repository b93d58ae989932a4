"""The triggers of the app. Each calls one method of status_app."""

import os
from typing import List  # noqa: UP035 (the worker library does not load an annotation `list[EventHubEvent]`)

import azure.functions as func

from status_app.http import routes
from status_app.http.page import fleet_page
from status_app.ingest.event_batch import read_batch
from status_app.reconcile.twin_changes import MAX_RETRIES
from status_app.services import services
from status_app.settings import Settings, check_trigger, schedule
from status_app.storage.heartbeats import Source
from status_app.telemetry.logs import about, quiet_libraries

quiet_libraries()
Settings.read(os.environ)  # a wrong setting stops the app here, by its name
check_trigger(os.environ)

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
        async with services().heartbeats.beating(Source.FLAG_STUCK):
            await (await services().flag_stuck()).run()


@app.function_name("resync")
@app.timer_trigger(arg_name="timer", schedule=schedule(os.environ, "RESYNC_SCHEDULE"), run_on_startup=False)
async def resync(timer: func.TimerRequest, context: func.Context) -> None:  # noqa: ARG001 (a binding)
    """Compare every device with its twin, and heal what lost notifications left behind."""
    with about(invocation=context.invocation_id):
        async with services().heartbeats.beating(Source.RESYNC):
            await (await services().resync()).run()


@app.function_name("devices")
@app.route(route="devices", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def devices(req: func.HttpRequest) -> func.HttpResponse:
    """Devices by state, by deployment, and those that are stuck."""
    return await routes.devices(services().fleet(), req)


@app.function_name("device")
@app.route(route="devices/{deviceId}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def device(req: func.HttpRequest) -> func.HttpResponse:
    """One device with its modules, and why they are what they are."""
    return await routes.device(services().fleet(), req)


@app.function_name("transitions")
@app.route(route="devices/{deviceId}/transitions", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def transitions(req: func.HttpRequest) -> func.HttpResponse:
    """The history of one device."""
    return await routes.transitions(services().fleet(), req)


@app.function_name("modules")
@app.route(route="modules", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def modules(req: func.HttpRequest) -> func.HttpResponse:
    """Modules that are stuck, or soon will be."""
    return await routes.modules(services().fleet(), req)


@app.function_name("deployments")
@app.route(route="deployments", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def deployments(req: func.HttpRequest) -> func.HttpResponse:
    """Deployments as they were counted last."""
    return await routes.deployments(services().fleet(), req)


@app.function_name("deployment")
@app.route(route="deployments/{deploymentId}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def deployment(req: func.HttpRequest) -> func.HttpResponse:
    """One deployment, counted now."""
    return await routes.deployment(services().fleet(), req)


@app.function_name("health")
@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Whether the app does its work: a word, for whoever asks."""
    return await routes.health(services().health, req)


@app.function_name("health_details")
@app.route(route="health/details", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def health_details(req: func.HttpRequest) -> func.HttpResponse:
    """What is wrong with the app, and what its timers and its trigger last did."""
    return await routes.health_details(services().health, req)


@app.function_name("fleet")
@app.route(route="fleet", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def fleet(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 (a binding)
    """The page that shows the fleet to a person."""
    page = fleet_page()
    return func.HttpResponse(page.body, headers=dict(page.headers))
