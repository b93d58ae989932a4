"""Where a command asks: the API where its address is given, else the tables."""

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
    """What answers for the fleet; nothing is connected yet.

    Args:
        environment: Holds DEPLOYMENT_STATUS_URL and DEPLOYMENT_STATUS_KEY, or STATUS_TABLES.
        url: The app's address, in the place of the environment's.
        key: A function key, in the place of the environment's.

    Raises:
        SettingError: Neither is given, or one is wrong.
    """
    address, known_key = api_address(environment, url, key)
    if address is not None:
        return ApiFleetStatus(address, known_key)
    if not environment.get("STATUS_TABLES", "").strip():
        raise SettingError(f"neither {URL} (or --url) nor STATUS_TABLES is set: one says where to ask")
    from status_app.commands.fleet_status.tables import TableFleetStatus  # noqa: PLC0415 (needs packages)

    return TableFleetStatus(read_tables(environment))


def api_address(
    environment: Mapping[str, str], url: str | None = None, key: str | None = None
) -> tuple[str | None, str | None]:
    """The app's address without a slash at its end, and a function key; None where they are not given.

    Args:
        environment: Holds DEPLOYMENT_STATUS_URL and DEPLOYMENT_STATUS_KEY.
        url: The app's address, in the place of the environment's.
        key: A function key, in the place of the environment's.

    Raises:
        SettingError: One is wrong.
    """
    url = (url or environment.get(URL, "")).strip()
    key = (key or environment.get(KEY, "")).strip()
    return (_address(url), _key(key)) if url else (None, None)


def _address(url: str) -> str:
    """An address without what stands behind its path: a key may, so a wrong one is not shown."""
    takes = f"{URL} (or --url) takes the app's address, such as https://APP.azurewebsites.net"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SettingError(f"{takes}; this is none") from None
    if parts.scheme not in ("https", "http") or not host or parts.username or parts.query or parts.fragment:
        raise SettingError(f"{takes}, and nothing else; the key stands in {KEY}")
    if parts.scheme == "http" and host not in _LOCAL:
        raise SettingError(f"{takes}: with https, since the key goes with each request")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/api')}"


def _key(key: str) -> str | None:
    if not key.isascii() or not key.isprintable():
        raise SettingError(f"{KEY} is no key: it holds characters that none has")
    return key or None
