"""Read-only queries of the fleet. The answers follow schemas/openapi.yaml."""

from status_app.queries.answers import Answer
from status_app.queries.device_filter import DeviceFilter, FilterError
from status_app.queries.fleet import Fleet
from status_app.queries.pages import Page, Place, PlaceError

__all__ = ["Answer", "DeviceFilter", "FilterError", "Fleet", "Page", "Place", "PlaceError"]
