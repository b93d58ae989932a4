"""Takes the events and does nothing with them: what is left is what the host does to bring them."""

from typing import List  # noqa: UP035 (the worker library does not load an annotation `list[EventHubEvent]`)

import azure.functions as func

app = func.FunctionApp()


@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%TWIN_CHANGES_HUB%",
    connection="TwinChanges",
    consumer_group="%CONSUMER_GROUP%",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
def on_twin_changes(events: List[func.EventHubEvent]) -> None:  # noqa: UP006 (as above)
    """Take a batch."""
