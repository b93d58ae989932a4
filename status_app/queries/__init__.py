"""What is asked of the fleet. Reading only; the shapes of the answers are those of schemas/openapi.yaml."""

from status_app.queries.answers import Answer
from status_app.queries.device_filter import Devices, FilterError
from status_app.queries.fleet import Fleet
from status_app.queries.pages import Page, Place, PlaceError

__all__ = ["Answer", "Devices", "FilterError", "Fleet", "Page", "Place", "PlaceError"]
