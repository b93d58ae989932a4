"""Chooses where a command reads: the API if its address is given, else the tables."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from status_app.commands.fleet_status.api import ApiFleetStatus
from status_app.commands.fleet_status.fleet_status import FleetSource
from status_app.errors import SettingError
from status_app.settings import read_tables

URL: Final = "DEPLOYMENT_STATUS_URL"
KEY: Final = "DEPLOYMENT_STATUS_KEY"

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def choose_source(environment: Mapping[str, str], url: str | None = None, key: str | None = None) -> FleetSource:
    """Create the source of a command; nothing is connected yet.

    Args:
        environment: Holds DEPLOYMENT_STATUS_URL and DEPLOYMENT_STATUS_KEY, or STATUS_TABLES.
        url: The app's address, instead of the environment's.
        key: A function key, instead of the environment's.

    Raises:
        SettingError: Neither is given, or one is wrong.
    """
    address, known_key = api_address(environment, url, key)
    if address is not None:
        return ApiFleetStatus(address, known_key)
    if not environment.get("STATUS_TABLES", "").strip():
        raise SettingError(f"neither {URL} (or --url) nor STATUS_TABLES is set: set one of them")
    from status_app.commands.fleet_status.tables import TableFleetStatus  # noqa: PLC0415 (needs packages)

    return TableFleetStatus(read_tables(environment))


def api_address(
    environment: Mapping[str, str], url: str | None = None, key: str | None = None
) -> tuple[str | None, str | None]:
    """Return the app's address without a trailing slash, and a function key; None for each that is not given.

    Args:
        environment: Holds DEPLOYMENT_STATUS_URL and DEPLOYMENT_STATUS_KEY.
        url: The app's address, instead of the environment's.
        key: A function key, instead of the environment's.

    Raises:
        SettingError: One is wrong.
    """
    url = (url or environment.get(URL, "")).strip()
    key = (key or environment.get(KEY, "")).strip()
    return (_address(url), _key(key)) if url else (None, None)


def _address(url: str) -> str:
    """Check an address, and strip its query and fragment. They may hold a key, so a wrong address is not shown."""
    takes = f"{URL} (or --url) takes the app's address, such as https://APP.azurewebsites.net"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SettingError(f"{takes}; this is not one") from None
    if parts.scheme not in ("https", "http") or not host or parts.username or parts.query or parts.fragment:
        raise SettingError(f"{takes}, and nothing else; the key goes into {KEY}")
    if parts.scheme == "http" and host not in _LOCAL:
        raise SettingError(f"{takes}: with https, because each request carries the key")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/api')}"


def _key(key: str) -> str | None:
    if not key.isascii() or not key.isprintable():
        raise SettingError(f"{KEY} is not a key: it has characters that no key has")
    return key or None
