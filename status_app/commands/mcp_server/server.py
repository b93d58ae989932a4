"""The Model Context Protocol server: five read-only tools, over standard input and output."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from status_app.commands.fleet_status import Answer, FleetSource
from status_app.commands.mcp_server import bounded
from status_app.commands.mcp_server.bounded import NOTE, bounded_answer
from status_app.version import VERSION
from status_core import ModuleState

TRANSITIONS: Final = 8
"""How many of a device's last transitions are shown."""
CAUSES: Final = 5
"""How many causes are shown with a deployment."""
INSTRUCTIONS: Final = (
    "Shows how Azure IoT Edge deployments are doing on a fleet of devices, and why. Read-only. Start with causes: "
    f"it lists devices that fail alike as one line. {NOTE}"
)
_LONGEST_NAME: Final = 1000

type _Name = Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME)]
type _Limit = Annotated[int, Field(ge=1, le=50, description="Items of the answer.")]
type _Deployment = Annotated[
    str | None, Field(min_length=1, max_length=_LONGEST_NAME, description="Only devices with this deployment.")
]
type _Cohort = Annotated[
    str | None,
    Field(min_length=1, max_length=_LONGEST_NAME, description="Only devices in this cohort, such as ring=canary."),
]


def mcp_server(fleet: FleetSource, failure: Callable[[Exception], str]) -> MCPServer:
    """Create a server that answers for a fleet.

    Args:
        fleet: The source.
        failure: Formats an error.
    """
    server: MCPServer = MCPServer("edge-status", instructions=INSTRUCTIONS, version=VERSION, log_level="ERROR")
    tools = _Tools(fleet, failure)
    for tool in (tools.causes, tools.stuck, tools.device, tools.deployment, tools.deployments):
        reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)
        server.add_tool(tool, annotations=reads, structured_output=False)
    return server


class _Tools:
    """The tools of a chat, which reads the names, docstrings and annotations of these methods."""

    def __init__(self, fleet: FleetSource, failure: Callable[[Exception], str]) -> None:
        self._fleet = fleet
        self._failure = failure

    async def causes(self, deployment: _Deployment = None, cohort: _Cohort = None, limit: _Limit = 20) -> str:
        """List what is wrong on the fleet, and what to do: one line per cause, most devices first."""
        words = _words(deployment=deployment, cohort=cohort)
        return await self._answered(_list(self._fleet, "causes", words, bounded.CAUSE, limit))

    async def stuck(self, deployment: _Deployment = None, cohort: _Cohort = None, limit: _Limit = 20) -> str:
        """List the devices with something stuck, longest first."""
        words = _words(stuck="true", deployment=deployment, cohort=cohort)
        return await self._answered(_list(self._fleet, "devices", words, bounded.DEVICE, limit))

    async def device(self, device_id: _Name) -> str:
        """Show one device: its state and why, its modules (those not as desired first), its last changes."""
        return await self._answered(_device(self._fleet, device_id))

    async def deployment(self, deployment_id: _Name) -> str:
        """Show one deployment: how many devices are in which state, its milestones, and its most frequent causes."""
        return await self._answered(_deployment(self._fleet, deployment_id))

    async def deployments(self, limit: _Limit = 20) -> str:
        """List the deployments by id, as last counted."""
        return await self._answered(_list(self._fleet, "deployments", {}, bounded.DEPLOYMENT, limit))

    async def _answered(self, answer: Awaitable[str]) -> str:
        """Return an answer, or raise an error without the text of one that is not the app's own."""
        try:
            return await answer
        except ToolError:
            raise
        except Exception as error:  # noqa: BLE001 (its text may quote a request)
            raise ToolError(self._failure(error)) from None


def _words(**given: str | None) -> Mapping[str, str]:
    return {name: value for name, value in given.items() if value is not None}


async def _list(fleet: FleetSource, name: str, words: Mapping[str, str], shape: bounded.Shape, limit: int) -> str:
    items, more = await _some(fleet.items(name, words, page=limit + 1), limit)
    return bounded_answer({}, {name: [shape.apply(item) for item in items]}, [name] if more else [])


async def _some(items: AsyncIterator[Answer], limit: int) -> tuple[list[Answer], bool]:
    """Return the first items of a list, and whether there are more."""
    found: list[Answer] = []
    async for item in items:
        if len(found) == limit:
            return found, True
        found.append(item)
    return found, False


async def _device(fleet: FleetSource, device_id: str) -> str:
    found = await fleet.device(device_id)
    transitions = await fleet.transitions(device_id, TRANSITIONS)
    if found is None and not transitions:
        raise ToolError("no device with this id is known: ids are case-sensitive")
    changes = [bounded.TRANSITION.apply(item) for item in transitions]
    if found is None:
        return bounded_answer({"deviceId": device_id, "deleted": True}, {"transitions": changes})
    modules = sorted(found["moduleStates"], key=_is_fine)
    shown = [bounded.MODULE.apply({**item, "evidence": found["evidence"].get(item["module"])}) for item in modules]
    first: dict[str, Any] = {"device": bounded.DEVICE.apply(found)}
    return bounded_answer(first, {"modules": shown, "transitions": changes})


def _is_fine(module: Answer) -> bool:
    return module["state"] == ModuleState.SETTLED and not module["stuck"]


async def _deployment(fleet: FleetSource, deployment_id: str) -> str:
    found = await fleet.deployment(deployment_id)
    if found is None:
        raise ToolError("no deployment with this id is known: the tool deployments lists all")
    causes, more = await _some(fleet.items("causes", {"deployment": deployment_id}, page=CAUSES + 1), CAUSES)
    shown = [bounded.CAUSE.apply(item) for item in causes]
    return bounded_answer(
        {"deployment": bounded.DEPLOYMENT.apply(found)}, {"causes": shown}, ["causes"] if more else []
    )
