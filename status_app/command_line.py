"""`edge-status COMMAND`, or `python -m status_app COMMAND`: ask a running app, as an operator or in a pipeline.

Commands that ask the API need only the standard library. Others import packages of the app when they run.
"""

import argparse
import asyncio
import os
import re
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from status_app.commands.arguments import Parser, cohort, duration, name, number, threshold
from status_app.commands.exit_codes import ExitCode, missing_package
from status_app.commands.explain.command import explain
from status_app.commands.fleet_status import FleetSource, FleetStatus, RefusedError
from status_app.commands.fleet_status.choose_source import choose_source
from status_app.commands.gate.lines import Progress
from status_app.commands.gate.rule import GateCriteria
from status_app.commands.gate.wait import Gate, WaitLimits
from status_app.commands.lists import Form, print_list
from status_app.commands.summary import summary, write_summary
from status_app.commands.terminal import printable
from status_app.errors import SettingError, UnavailableError
from status_app.service_clock import machine_time
from status_app.settings import SHARED, Settings
from status_app.telemetry.logs import quiet_libraries

if TYPE_CHECKING:
    from status_app.services import Services

_INTERVALS: Final = {"least": timedelta(seconds=1), "longest": timedelta(minutes=1)}
"""A heartbeat once a minute rules out longer intervals."""
_DEVICES: Final = {
    "state": "in this state",
    "deployment": "that have this deployment",
    "stuck": "with something stuck",
    "reason": "in a state with this reason",
    "cause": "with the cause of this id",
    "flag": "with this flag",
    "image": "with a module that reports this image",
    "digest": "with a module that reports an image of this digest",
    "agentVersion": "with this version of edgeAgent",
    "prefix": "with an id that begins like this",
    "cohort": "in this cohort, such as ring=canary",
}
"""The filters of a list of devices."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code.
    """
    quiet_libraries()
    options = parser().parse_args(arguments)
    try:
        code = int(asyncio.run(options.run(options)))
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


def parser() -> argparse.ArgumentParser:
    """Create the parser of all commands. The parsed `run` is the command."""
    all_commands = Parser(prog="edge-status", description=__doc__)
    commands = all_commands.add_subparsers(required=True, metavar="COMMAND")

    replay = commands.add_parser(
        "replay-dead-letters",
        help="process again the events that could not be processed",
        description="Read the devices of the events in the table DeadLetter again. Events processed now leave "
        "the table, the rest stays. Exits with 0 if nothing is left, else 1.",
    )
    replay.add_argument("--reason", help="only events with this reason, for instance iothub_unavailable")
    replay.add_argument("--dry-run", action="store_true", help="only show what is there; nothing is changed")
    replay.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    replay.set_defaults(run=_replay_dead_letters)

    forget = commands.add_parser(
        "forget-deployment",
        help="delete the data of a deployment that is over",
        description="Delete the count, the milestones and the progress of a deployment that is on no device and not "
        "in the hub's list any more. Exits with 0 if it was deleted, else 1.",
    )
    forget.add_argument("deployment", type=name("a deployment"), metavar="ID", help="the deployment")
    forget.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    forget.set_defaults(run=_forget_deployment)

    wait = commands.add_parser(
        "wait",
        help="wait until a deployment has succeeded on all its devices: a gate for pipelines",
        description="Wait until every device of a deployment is successful. Exits with 0 if so, 1 if more devices "
        "failed or got stuck than allowed, 2 at the timeout. docs/gate.md has the other codes.",
    )
    wait.add_argument(
        "--deployment",
        action="append",
        type=name("a deployment"),
        metavar="ID",
        help="the deployment; repeat for more",
    )
    which = wait.add_mutually_exclusive_group()
    which.add_argument("--device", type=name("a device"), metavar="ID", help="one device instead of all")
    which.add_argument(
        "--cohort", type=cohort, metavar="TAG=VALUE", help="the devices of one cohort, such as ring=canary"
    )
    _add_duration(wait, "--timeout", "PT30M", "how long to wait")
    wait.add_argument(
        "--max-failed", type=threshold, metavar="N", help="devices that may fail, or N%% (default: FAILURE_THRESHOLD)"
    )
    wait.add_argument("--summary", type=Path, metavar="FILE", help="append the outcome and the causes as Markdown")
    wait.add_argument("--new-only", action="store_true", help="ignore what was stuck before the wait began")
    _add_duration(wait, "--soak", "PT0S", "how long the success must last, such as 10m")
    wait.add_argument("--min-devices", type=number(1), default=1, metavar="N", help="devices to wait for (default 1)")
    wait.add_argument("--strict", action="store_true", help="a device fails at the first failure of a module")
    wait.add_argument(
        "--stable-after",
        type=duration(),
        metavar="DURATION",
        help="how long no device must be added (default: until the app has announced completed)",
    )
    _add_duration(wait, "--interval", "PT15S", "time between two queries, a minute at most", **_INTERVALS)
    wait.add_argument(
        "--json", action="store_true", help="print one JSON object at the end; the progress goes to stderr"
    )
    _add_source(wait)
    wait.set_defaults(run=_wait)

    checked = commands.add_parser(
        "doctor",
        help="check the chain from the IoT hub to the API, and say how to fix it",
        description="Check each link from the IoT hub to the API with your own access, from the settings of "
        "the app in the environment and its address. Exits with 0 if all is well, 1 if something is wrong, "
        "78 if nothing can be checked.",
    )
    form = checked.add_mutually_exclusive_group()
    form.add_argument(
        "--end-to-end",
        action="store_true",
        help="create an edge device, follow it from the hub to the API, and delete it; needs write access",
    )
    checked.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    form.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    _add_source(checked)
    checked.set_defaults(run=_doctor)

    news = commands.add_parser(
        "notify-test",
        help="send one message to a target of NOTIFY, and show its answer",
        description="Send one message to a target, from the settings of the app in the environment. Exits with 0 "
        "if it was accepted, else 1.",
    )
    news.add_argument("target", metavar="TARGET", help="the name of the target")
    news.set_defaults(run=_notify_test)

    chat = commands.add_parser(
        "mcp",
        help="serve a chat program over the Model Context Protocol, on standard input and output",
        description="Serve a chat program that speaks the Model Context Protocol: it starts this command and asks "
        "over standard input. It can read what the API shows, and change nothing. Ends when the input ends.",
    )
    _add_source(chat)
    chat.set_defaults(run=_mcp)

    explained = commands.add_parser(
        "explain",
        help="explain what is wrong with a device, and what to do",
        description="Explain the state of a device in sentences, with the evidence and the next steps. Exits with 0 "
        "if nothing is wrong, 1 if something is wrong or not done yet, 3 if the device is not known.",
    )
    explained.add_argument("device", metavar="DEVICE", help="the device id")
    explained.add_argument("--json", action="store_true", help="print the answer of the API in the place of sentences")
    _add_source(explained)
    explained.set_defaults(run=_explain)
    _add_lists(commands)
    return all_commands


def _add_lists(commands: "argparse._SubParsersAction[Parser]") -> None:
    def add(command: str, what: str, names: Mapping[str, str], **asked: str) -> None:
        listed = commands.add_parser(command, help=what, description=f"Print {what}.")
        for parameter, text in names.items():
            name = re.sub("([A-Z])", r"-\1", parameter).lower()
            if parameter == "stuck":
                listed.add_argument("--stuck", action="store_const", const="true", help=text)
            else:
                listed.add_argument(f"--{name}", dest=parameter, metavar="WORD", help=text)
        form = listed.add_mutually_exclusive_group()
        for word in (Form.JSON, Form.CSV):
            form.add_argument(f"--{word}", action="store_const", dest="form", const=word, help=f"print {word.upper()}")
        _add_source(listed)
        name = "devices" if command == "stuck" else command
        listed.set_defaults(run=_print_list, list=name, form=Form.TABLE, names=(*names, *asked), **asked)

    which = {name: f"only devices {text}" for name, text in _DEVICES.items()}
    of_stuck = {name: text for name, text in which.items() if name != "stuck"}
    add("stuck", "devices with something stuck, longest first", of_stuck, stuck="true")
    add("devices", "devices, filtered by all given options", which)
    add("deployments", "deployments as last counted", {})
    causes = {"deployment": "only of devices that have this deployment", "cohort": which["cohort"]}
    add("causes", "what is wrong: one line per cause", causes)
    add("images", "images that modules report, with their digests", {})


async def _print_list(options: argparse.Namespace) -> int:
    given = {name: getattr(options, name) for name in options.names}
    words = {name: value for name, value in given.items() if value is not None}
    return await _ask(options, lambda fleet: print_list(fleet, options.list, words, sys.stdout, options.form))


def _add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", help="the app's address (else DEPLOYMENT_STATUS_URL, else tables of STATUS_TABLES)")
    command.add_argument("--key", help="a function key; DEPLOYMENT_STATUS_KEY is safer: process lists do not show it")


def _add_duration(command: argparse.ArgumentParser, name: str, default: str, text: str, **bounds: timedelta) -> None:
    read = duration(**bounds)
    command.add_argument(name, type=read, default=default, metavar="DURATION", help=f"{text} (default {default})")


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
