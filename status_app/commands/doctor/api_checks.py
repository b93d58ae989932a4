"""Checks the API: its address, the key, and which version runs."""

from typing import Any, Final

import aiohttp

from status_app.commands.doctor.step import Step, ok, skipped, wrong
from status_app.version import VERSION

TIMEOUT: Final = 20.0
"""Seconds that an answer may take."""

ADDRESS: Final = "az functionapp show -g GROUP -n APP --query defaultHostName"
"""Prints the address of the app."""
_KEY: Final = "az functionapp keys list -g GROUP -n APP; then set DEPLOYMENT_STATUS_KEY"
_OK: Final = 200
_UNHEALTHY: Final = 503
_REFUSALS: Final = (401, 403)


async def check_api(url: str | None, key: str | None) -> tuple[Step, ...]:
    """Ask /health and /health/details.

    Args:
        url: The app's address; None if not known here.
        key: A function key; None if not known.
    """
    name, asked = "API", "GET /api/health"
    if url is None:
        return (skipped(name, asked, "DEPLOYMENT_STATUS_URL (or --url) is not set here", ADDRESS),)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
        try:
            status, health = await _get(session, f"{url}/api/health", None)
            if status not in (_OK, _UNHEALTHY) or not isinstance(health.get("status"), str):
                return (wrong(name, asked, f"the answer {status} is not the app's: check the address", ADDRESS),)
            word = health["status"]
            answer = f"the app says: {word}"
            first = ok(name, asked, answer) if word == "ok" else wrong(name, asked, answer, "azd monitor --logs")
            return first, await _details(session, url, key)
        except (aiohttp.ClientError, TimeoutError) as error:
            return (wrong(name, asked, f"nothing answers at the address ({type(error).__name__})", ADDRESS),)


async def _details(session: aiohttp.ClientSession, url: str, key: str | None) -> Step:
    name, asked = "key and version", "GET /api/health/details"
    status, found = await _get(session, f"{url}/api/health/details", key)
    if status in _REFUSALS:
        words = "no key is set here" if key is None else "the key is refused"
        return wrong(name, asked, f"{words} (answer {status})", _KEY)
    if status != _OK:
        return wrong(name, asked, f"answer {status}: the app is an older release", "azd deploy")
    there = str(found.get("version"))
    if there != VERSION:
        return wrong(name, asked, f"the app is {there}, this command {VERSION}", "azd deploy, or install that version")
    return ok(name, asked, f"the key opens it; the app is {there}, like this command, for the hub {found.get('hub')}")


async def _get(session: aiohttp.ClientSession, url: str, key: str | None) -> tuple[int, dict[str, Any]]:
    headers = {} if key is None else {"x-functions-key": key}
    async with session.get(url, headers=headers, allow_redirects=False) as response:
        try:
            found = await response.json(content_type=None)
        except ValueError:
            found = None
        return response.status, found if isinstance(found, dict) else {}
