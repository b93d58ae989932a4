"""`edge-status COMMAND`, or `python -m status_app COMMAND`: ask a running app, as an operator or in a pipeline.

Commands that ask the API need only the standard library. Others import packages of the app when they run.
"""

import argparse
import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

from status_app.commands.exit_codes import ExitCode, missing_package
from status_app.commands.explain.command import explain
from status_app.commands.fleet_status import FleetSource, FleetStatus, RefusedError
from status_app.commands.fleet_status.choose_source import choose_source
from status_app.commands.gate.lines import Progress
from status_app.commands.gate.rule import GateCriteria
from status_app.commands.gate.wait import Gate, WaitLimits
from status_app.commands.lists import print_list
from status_app.commands.parser import parser
from status_app.commands.summary import summary, write_summary
from status_app.commands.terminal import printable
from status_app.errors import SettingError, UnavailableError
from status_app.service_clock import machine_time
from status_app.settings import SHARED, Settings
from status_app.telemetry.logs import quiet_libraries

if TYPE_CHECKING:
    from status_app.services import Services


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code.
    """
    quiet_libraries()
    options = parser().parse_args(arguments)
    try:
        code = int(asyncio.run(_RUNS[options.command](options)))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at exit
        return ExitCode.CUT_OFF
    except Exception as error:  # noqa: BLE001 (Python exits with 1, which means a failed deployment here)
        message, code = _failure(error)
        return _complain(message, code)
    except KeyboardInterrupt:
        return _complain("", ExitCode.INTERRUPTED)
    return code


def command() -> None:
    """Run as `edge-status`."""
    sys.exit(main())


def _failure(error: Exception) -> tuple[str, ExitCode]:
    """Return the message and exit code of an error. The text of a foreign error may quote a request or an answer."""
    match error:
        case SettingError():
            return str(error), ExitCode.USAGE
        case RefusedError():
            return str(error), ExitCode.CONFIG
        case UnavailableError():
            return str(error), ExitCode.UNAVAILABLE
        case ModuleNotFoundError():
            return missing_package(error), ExitCode.UNAVAILABLE
    azure = sys.modules.get("azure.core.exceptions")  # absent unless a command imported it
    if azure is not None and isinstance(error, azure.HttpResponseError):
        return f"the table service refused: {error.status_code or type(error).__name__}", ExitCode.CONFIG
    traceback.print_tb(error.__traceback__)
    return f"a bug: {type(error).__name__}", ExitCode.SOFTWARE


async def _print_list(options: argparse.Namespace) -> int:
    given = {name: getattr(options, name) for name in options.names}
    words = {name: value for name, value in given.items() if value is not None}
    return await _ask(options, lambda fleet: print_list(fleet, options.list, words, sys.stdout, options.form))


async def _replay_dead_letters(options: argparse.Namespace) -> int:
    from status_app.commands.dead_letter_replay import replay_dead_letters  # noqa: PLC0415 (needs packages of the app)

    def confirm(events: int) -> bool:
        print(f"{events} events: reads the twins of their devices, writes their state, deletes processed events")
        return options.yes or _confirm()

    try:
        services = await _services_as_the_app()
    except UnavailableError as error:
        return _complain(str(error), ExitCode.FAILED)
    try:
        done = await replay_dead_letters(
            services.dead_letters(),
            services.reconciler,
            print,
            reason=options.reason,
            dry_run=options.dry_run,
            confirm=confirm,
        )
    except UnavailableError as error:
        return _complain(str(error), ExitCode.FAILED)
    finally:
        await services.close()
    return ExitCode.OK if done else ExitCode.FAILED


async def _forget_deployment(options: argparse.Namespace) -> int:
    from status_app.commands.forget_deployment import forget_deployment  # noqa: PLC0415 (as above)

    def confirm() -> bool:
        print(f"deletes the data of {printable(options.deployment)}: its count, milestones and progress")
        return options.yes or _confirm()

    services = await _services_as_the_app()
    try:
        rows, fleet = services.deployment_rows(), services.fleet()
        done = await forget_deployment(fleet, rows, options.deployment, print, confirm)
    finally:
        await services.close()
    return ExitCode.OK if done else ExitCode.FAILED


async def _wait(options: argparse.Namespace) -> int:
    deployments: list[str] = options.deployment or []
    if not deployments and options.device is None:
        raise SettingError("wait takes --deployment, --device, or both")
    criteria = GateCriteria(
        options.max_failed,
        options.min_devices,
        options.strict,
        options.stable_after,
        options.soak,
        options.new_only,
        options.cohort,
    )
    progress = Progress(sys.stderr if options.json else sys.stdout, machine_time)

    async def run(fleet: FleetSource) -> int:
        gate = Gate(fleet, deployments, criteria, progress, device=options.device, clock=machine_time)
        code = await gate.wait(WaitLimits(options.timeout, options.interval))
        if options.json:
            print(gate.result(code))
        if options.summary is not None:
            text = summary(deployments or [f"of device {options.device}"], code, progress.lines, gate.causes)
            try:
                write_summary(options.summary, text)
            except OSError as error:  # the decision holds
                return _complain(f"the summary cannot be written: {error.strerror}", code)
        return code

    return await _ask(options, run)


async def _explain(options: argparse.Namespace) -> int:
    async def run(fleet: FleetStatus) -> int:
        return await explain(fleet, options.device, print, now=machine_time(), as_json=options.json)

    return await _ask(options, run)


async def _mcp(options: argparse.Namespace) -> int:
    from status_app.commands.mcp_server.server import mcp_server  # noqa: PLC0415 (needs packages of its own)

    # Its package reads the input in a thread, which Ctrl-C would wait for. There is nothing to clean up.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    async def run(fleet: FleetSource) -> int:
        await mcp_server(fleet, lambda error: _failure(error)[0]).run_stdio_async()
        return ExitCode.OK

    return await _ask(options, run)


async def _notify_test(options: argparse.Namespace) -> int:
    from status_app.commands.notify_test import notify_test  # noqa: PLC0415 (as above)

    return await notify_test(os.environ, options.target, print, machine_time())


async def _doctor(options: argparse.Namespace) -> int:
    from status_app.commands.doctor.command import doctor  # noqa: PLC0415 (as above)
    from status_app.commands.doctor.end_to_end import end_to_end  # noqa: PLC0415 (as above)

    if options.end_to_end:
        return await end_to_end(os.environ, print, lambda: options.yes or _confirm(), url=options.url, key=options.key)
    return await doctor(os.environ, print, url=options.url, key=options.key, as_json=options.json)


def _confirm() -> bool:
    return sys.stdin.isatty() and input("go on? [y/N] ").strip().lower() in ("y", "yes")


async def _ask(options: argparse.Namespace, run: Callable[[FleetSource], Awaitable[int]]) -> int:
    fleet = choose_source(os.environ, options.url, options.key)
    try:
        return await run(fleet)
    finally:
        await fleet.close()


async def _services_as_the_app() -> "Services":
    """Create the services from the app's own settings, as its tables hold them; the environment has the addresses.

    Raises:
        SettingError: A setting is missing or wrong, or the tables belong to another hub.
        UnavailableError: The table service does not answer.
    """
    own = _services(os.environ)
    try:
        known = await own.settings_of_the_app()
    except BaseException:
        await own.close()
        raise
    if known is None:
        return own
    await own.close()
    hub, shared = known
    settings = Settings.read({**{name: value for name, value in os.environ.items() if name not in SHARED}, **shared})
    if settings.hub != hub:
        raise SettingError(f"IOT_HUB is {settings.hub!r}, but the tables in STATUS_TABLES belong to {hub!r}")
    return _services(os.environ, settings)


def _services(environment: Mapping[str, str], settings: Settings | None = None) -> "Services":
    from status_app.services import Services  # noqa: PLC0415 (as above)

    settings = settings or Settings.read(environment)
    try:
        return Services(settings, is_command=True)
    except ValueError:  # its text may quote a key
        raise SettingError("STATUS_TABLES is neither an https endpoint nor a connection string") from None


def _complain(message: str, code: ExitCode) -> ExitCode:
    print(message, file=sys.stderr)
    return code


_RUNS: Final[Mapping[str, Callable[[argparse.Namespace], Coroutine[Any, Any, int]]]] = {
    "wait": _wait,
    "explain": _explain,
    "doctor": _doctor,
    "notify-test": _notify_test,
    "mcp": _mcp,
    "replay-dead-letters": _replay_dead_letters,
    "forget-deployment": _forget_deployment,
    **dict.fromkeys(("stuck", "devices", "deployments", "causes", "images"), _print_list),
}
