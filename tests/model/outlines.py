"""Outlines of twins, as the stand-in of IoT Hub gives them and the app takes them."""

from collections.abc import Mapping
from typing import Any

from local.iothub.queries import Query
from status_app.iothub.twins import outline

_OUTLINES = Query("outlines", None, {})


def outline_of(twin: Mapping[str, Any]) -> dict[str, Any]:
    """What a query for outlines gives of a twin."""
    return dict(outline(_OUTLINES.item(twin, lambda _: {})))
