"""The commands, and the options of each."""

import argparse
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from status_app.commands.arguments import Parser, cohort, duration, name, number, threshold
from status_app.commands.lists import Form

_DESCRIPTION: Final = "Ask a running app, as an operator or in a pipeline."
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


def parser() -> argparse.ArgumentParser:
    """Create the parser of all commands. The parsed `command` is the name of one."""
    all_commands = Parser(prog="edge-status", description=_DESCRIPTION)
    commands = all_commands.add_subparsers(required=True, dest="command", metavar="COMMAND")

    replay = commands.add_parser(
        "replay-dead-letters",
        help="process again the events that could not be processed",
        description="Read the devices of the events in the table DeadLetter again. Events processed now leave "
        "the table, the rest stays. Exits with 0 if nothing is left, else 1.",
    )
    replay.add_argument("--reason", help="only events with this reason, for instance iothub_unavailable")
    replay.add_argument("--dry-run", action="store_true", help="only show what is there; nothing is changed")
    replay.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    forget = commands.add_parser(
        "forget-deployment",
        help="delete the data of a deployment that is over",
        description="Delete the count, the milestones and the progress of a deployment that is on no device and not "
        "in the hub's list any more. Exits with 0 if it was deleted, else 1.",
    )
    forget.add_argument("deployment", type=name("a deployment"), metavar="ID", help="the deployment")
    forget.add_argument("--yes", action="store_true", help="do not ask for confirmation")

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

    news = commands.add_parser(
        "notify-test",
        help="send one message to a target of NOTIFY, and show its answer",
        description="Send one message to a target, from the settings of the app in the environment. Exits with 0 "
        "if it was accepted, else 1.",
    )
    news.add_argument("target", metavar="TARGET", help="the name of the target")

    chat = commands.add_parser(
        "mcp",
        help="serve a chat program over the Model Context Protocol, on standard input and output",
        description="Serve a chat program that speaks the Model Context Protocol: it starts this command and asks "
        "over standard input. It can read what the API shows, and change nothing. Ends when the input ends.",
    )
    _add_source(chat)

    explained = commands.add_parser(
        "explain",
        help="explain what is wrong with a device, and what to do",
        description="Explain the state of a device in sentences, with the evidence and the next steps. Exits with 0 "
        "if nothing is wrong, 1 if something is wrong or not done yet, 3 if the device is not known.",
    )
    explained.add_argument("device", metavar="DEVICE", help="the device id")
    explained.add_argument("--json", action="store_true", help="print the answer of the API in the place of sentences")
    _add_source(explained)
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
        listed.set_defaults(list=name, form=Form.TABLE, names=(*names, *asked), **asked)

    which = {name: f"only devices {text}" for name, text in _DEVICES.items()}
    of_stuck = {name: text for name, text in which.items() if name != "stuck"}
    add("stuck", "devices with something stuck, longest first", of_stuck, stuck="true")
    add("devices", "devices, filtered by all given options", which)
    add("deployments", "deployments as last counted", {})
    causes = {"deployment": "only of devices that have this deployment", "cohort": which["cohort"]}
    add("causes", "what is wrong: one line per cause", causes)
    add("images", "images that modules report, with their digests", {})


def _add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", help="the app's address (else DEPLOYMENT_STATUS_URL, else tables of STATUS_TABLES)")
    command.add_argument("--key", help="a function key; DEPLOYMENT_STATUS_KEY is safer: process lists do not show it")


def _add_duration(command: argparse.ArgumentParser, name: str, default: str, text: str, **bounds: timedelta) -> None:
    read = duration(**bounds)
    command.add_argument(name, type=read, default=default, metavar="DURATION", help=f"{text} (default {default})")
