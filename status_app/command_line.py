"""`edge-status COMMAND`, or `python -m status_app COMMAND`: what an operator, or a pipeline, asks of a running app.

What asks the API needs the standard library alone. Commands that need packages of the app import them when they run.
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
from status_app.commands.terminal import printed
from status_app.errors import SettingError, UnavailableError
from status_app.service_clock import machine_time
from status_app.settings import SHARED, Settings
from status_app.telemetry.logs import quiet_libraries

if TYPE_CHECKING:
    from status_app.services import Services

_INTERVALS: Final = {"least": timedelta(seconds=1), "longest": timedelta(minutes=1)}
"""What a heartbeat once a minute allows."""
_DEVICES: Final = {
    "state": "in this state",
    "deployment": "on which this deployment is applied",
    "stuck": "of which something is stuck",
    "reason": "whose state has this reason",
    "cause": "under the cause of this id",
    "flag": "with this flag",
    "image": "of which a module reports this image",
    "digest": "of which a module reports an image of this digest",
    "agentVersion": "whose edgeAgent is of this version",
    "prefix": "whose id begins so",
    "cohort": "in this cohort, such as ring=canary",
}
"""By what a list of devices is asked."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        One of the exit codes.
    """
    quiet_libraries()
    options = parser().parse_args(arguments)
    try:
        code = int(asyncio.run(options.run(options)))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return ExitCode.CUT_OFF
    except Exception as error:  # noqa: BLE001 (Python's own code of a bug, 1, says that a deployment failed)
        message, code = _failure(error)
        return _complain(message, code)
    except KeyboardInterrupt:
        return _complain("", ExitCode.INTERRUPTED)
    return code


def command() -> None:
    """What `edge-status` runs."""
    sys.exit(main())


def _failure(error: Exception) -> tuple[str, ExitCode]:
    """What is said of an error. One that is not the app's own may quote a request, or an answer."""
    match error:
        case SettingError():
            return str(error), ExitCode.USAGE
        case RefusedError():
            return str(error), ExitCode.CONFIG
        case UnavailableError():
            return str(error), ExitCode.UNAVAILABLE
        case ModuleNotFoundError():
            return missing_package(error), ExitCode.UNAVAILABLE
    azure = sys.modules.get("azure.core.exceptions")  # not there where nothing was asked that could raise these
    if azure is not None and isinstance(error, azure.HttpResponseError):
        return f"the table service refused: {error.status_code or type(error).__name__}", ExitCode.CONFIG
    traceback.print_tb(error.__traceback__)
    return f"a bug: {type(error).__name__}", ExitCode.SOFTWARE


def parser() -> argparse.ArgumentParser:
    """Reads the arguments of every command; `run` of what it gives is the command."""
    all_commands = Parser(prog="edge-status", description=__doc__)
    commands = all_commands.add_subparsers(required=True, metavar="COMMAND")

    replay = commands.add_parser(
        "replay-dead-letters",
        help="look again at the devices of the events that could not be processed",
        description="Look again at the devices of the events in the table DeadLetter. What is processed now leaves "
        "the table, the rest stays. Exits with 0 where nothing is left, 1 where something is.",
    )
    replay.add_argument("--reason", help="only events with this reason, for instance iothub_unavailable")
    replay.add_argument("--dry-run", action="store_true", help="only tell what is there; nothing is changed")
    replay.add_argument("--yes", action="store_true", help="do not ask before anything is written")
    replay.set_defaults(run=_replay_dead_letters)

    forget = commands.add_parser(
        "forget-deployment",
        help="delete what is kept of a deployment that is over",
        description="Delete the count, the milestones and the progress of a deployment that is on no device and no "
        "list of the hub any more. Exits with 0 where it is forgotten, 1 where it is not.",
    )
    forget.add_argument("deployment", type=name("a deployment"), metavar="ID", help="the deployment")
    forget.add_argument("--yes", action="store_true", help="do not ask before anything is deleted")
    forget.set_defaults(run=_forget_deployment)

    wait = commands.add_parser(
        "wait",
        help="wait until a deployment has come through on all its devices: a gate for pipelines",
        description="Wait until every device on which a deployment is credited is successful. Exits with 0 where it "
        "is so, 1 where more devices failed or got stuck than may, 2 at the timeout. docs/gate.md has the others.",
    )
    wait.add_argument(
        "--deployment",
        action="append",
        type=name("a deployment"),
        metavar="ID",
        help="the deployment; more than once: all",
    )
    which = wait.add_mutually_exclusive_group()
    which.add_argument("--device", type=name("a device"), metavar="ID", help="one device in the place of all")
    which.add_argument(
        "--cohort", type=cohort, metavar="TAG=VALUE", help="the devices of one cohort, such as ring=canary"
    )
    _add_duration(wait, "--timeout", "PT30M", "how long to wait")
    wait.add_argument(
        "--max-failed", type=threshold, metavar="N", help="devices that may fail, or N%% (default: FAILURE_THRESHOLD)"
    )
    wait.add_argument("--summary", type=Path, metavar="FILE", help="append how it ended, and the causes, in Markdown")
    wait.add_argument("--new-only", action="store_true", help="what was stuck before the wait began does not count")
    _add_duration(wait, "--soak", "PT0S", "how long everything must have stayed so, such as 10m")
    wait.add_argument("--min-devices", type=number(1), default=1, metavar="N", help="devices to wait for (default 1)")
    wait.add_argument("--strict", action="store_true", help="a device has failed at the first failure of a module")
    wait.add_argument(
        "--stable-after",
        type=duration(),
        metavar="DURATION",
        help="how long no device must be credited (default: until the app has announced completed)",
    )
    _add_duration(wait, "--interval", "PT15S", "between two looks, a minute at most", **_INTERVALS)
    wait.add_argument(
        "--json", action="store_true", help="print one JSON object at the end; the progress goes to stderr"
    )
    _add_source(wait)
    wait.set_defaults(run=_wait)

    checked = commands.add_parser(
        "doctor",
        help="check the chain from the IoT hub to the API, and say what mends it",
        description="Check each link from the IoT hub to the API with what you may do from here: by the settings of "
        "the app in the environment, and its address. Exits with 0 where all is right, 1 where something is wrong, "
        "78 where nothing can be asked.",
    )
    form = checked.add_mutually_exclusive_group()
    form.add_argument(
        "--end-to-end",
        action="store_true",
        help="make an edge device, follow it from the hub to the API, and remove it again: for those who may write",
    )
    checked.add_argument("--yes", action="store_true", help="do not ask before the device is made")
    form.add_argument("--json", action="store_true", help="print one JSON object in the place of lines")
    _add_source(checked)
    checked.set_defaults(run=_doctor)

    news = commands.add_parser(
        "notify-test",
        help="send one message to a target of NOTIFY, and say what it answered",
        description="Send one message to a target, by the settings of the app in the environment. Exits with 0 where "
        "it was taken, 1 where it was not.",
    )
    news.add_argument("target", metavar="TARGET", help="the name of the target")
    news.set_defaults(run=_notify_test)

    chat = commands.add_parser(
        "mcp",
        help="answer a chat program by the Model Context Protocol, over standard input and output",
        description="Answer a chat program that speaks the Model Context Protocol: it starts this command, and asks "
        "over standard input. It can read what the API says, and change nothing. Ends where the input ends.",
    )
    _add_source(chat)
    chat.set_defaults(run=_mcp)

    told = commands.add_parser(
        "explain",
        help="tell what is wrong with a device, and what to do",
        description="Tell the state of a device in sentences, with the evidence and the next steps. Exits with 0 where "
        "nothing is wrong, 1 where something is or is not done yet, 3 where the device is not known.",
    )
    told.add_argument("device", metavar="DEVICE", help="the device id")
    told.add_argument("--json", action="store_true", help="print the answer of the API in the place of sentences")
    _add_source(told)
    told.set_defaults(run=_explain)
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

    which = {name: f"those {text}" for name, text in _DEVICES.items()}
    of_stuck = {name: text for name, text in which.items() if name != "stuck"}
    add("stuck", "devices of which something is stuck, the longest first", of_stuck, stuck="true")
    add("devices", "devices, those to which all applies that is given", which)
    add("deployments", "deployments as they were counted last", {})
    causes = {"deployment": "of devices on which this deployment is applied", "cohort": which["cohort"]}
    add("causes", "what is wrong, devices that fail alike as one line", causes)
    add("images", "images that modules report, with their digests", {})


async def _print_list(options: argparse.Namespace) -> int:
    given = {name: getattr(options, name) for name in options.names}
    words = {name: value for name, value in given.items() if value is not None}
    return await _ask(options, lambda fleet: print_list(fleet, options.list, words, sys.stdout, options.form))


def _add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", help="the app's address (else DEPLOYMENT_STATUS_URL, else the tables STATUS_TABLES)")
    command.add_argument(
        "--key", help="a function key; better in DEPLOYMENT_STATUS_KEY, where no process list shows it"
    )


def _add_duration(command: argparse.ArgumentParser, name: str, default: str, text: str, **bounds: timedelta) -> None:
    read = duration(**bounds)
    command.add_argument(name, type=read, default=default, metavar="DURATION", help=f"{text} (default {default})")


async def _replay_dead_letters(options: argparse.Namespace) -> int:
    from status_app.commands.dead_letter_replay import replay_dead_letters  # noqa: PLC0415 (needs packages of the app)

    def confirm(events: int) -> bool:
        print(f"{events} events: reads the twins of their devices, writes what they say, deletes what is done")
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
        print(f"deletes what is kept of {printed(options.deployment)}: its count, milestones and progress")
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
            text = summary(deployments or [f"of device {options.device}"], code, progress.said, gate.causes)
            try:
                write_summary(options.summary, text)
            except OSError as error:  # what was decided stands
                return _complain(f"the summary cannot be written: {error.strerror}", code)
        return code

    return await _ask(options, run)


async def _explain(options: argparse.Namespace) -> int:
    async def run(fleet: FleetStatus) -> int:
        return await explain(fleet, options.device, print, now=machine_time(), as_json=options.json)

    return await _ask(options, run)


async def _mcp(options: argparse.Namespace) -> int:
    from status_app.commands.mcp_server.server import mcp_server  # noqa: PLC0415 (needs packages of its own)

    # Its package reads the input in a thread, which Ctrl-C would wait for. Nothing is left to be tidied up.
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
    """The services by the settings of the app, as its tables say them; the environment says where all is.

    Raises:
        SettingError: A setting is missing or wrong, or the tables are those of another hub.
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
        raise SettingError(f"IOT_HUB is {settings.hub!r}, and the tables of STATUS_TABLES are those of {hub!r}")
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
