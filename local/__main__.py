"""The app on one machine: the demo, and scenarios replayed through the real app."""

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path

_INTERRUPTED = 130


def main() -> int:
    """Run one command.

    Returns:
        1 if it does not finish, 2 if its input is bad or something it needs is missing, 130 if it is interrupted.
    """
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(required=True)
    demo = commands.add_parser("demo", help="roll a deployment out to a simulated fleet")
    demo.add_argument("--devices", type=_count, default=40, help="size of the fleet, 1 to 1000")
    demo.add_argument("--seed", type=int, default=1, help="the same seed gives the same story")
    demo.add_argument("--events", type=Path, help="write the published events to this file, one per line")
    demo.add_argument(
        "--stay",
        action=argparse.BooleanOptionalAction,
        default=sys.stdin.isatty() and sys.stdout.isatty(),
        help="keep the page up at the end, until Ctrl-C; the default on a terminal",
    )
    demo.set_defaults(run=_demo)
    replay = commands.add_parser("replay", help="replay a scenario, print the results as JSON")
    replay.add_argument("file", type=Path, help="the scenario: JSON Lines, as docs/local-development.md describes them")
    replay.set_defaults(run=_replay)
    arguments = parser.parse_args()
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return _INTERRUPTED
    return code


# Each command imports what it needs inside the function: the imports take a second, and Ctrl-C should work then, too.


def _demo(arguments: argparse.Namespace) -> int:
    from local.azurite import AzuriteError  # noqa: PLC0415 (as above)
    from local.demo import demo  # noqa: PLC0415 (as above)
    from local.host import AppLoadError, MissingSettingError  # noqa: PLC0415 (as above)
    from status_app.errors import SettingError  # noqa: PLC0415 (as above)

    try:
        demo(arguments.devices, arguments.seed, arguments.events, stay=arguments.stay)
    except (OSError, AzuriteError, AppLoadError, MissingSettingError, SettingError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    from local.azurite import AzuriteError, azurite_tables  # noqa: PLC0415 (as above)
    from local.host import AppLoadError, MissingSettingError  # noqa: PLC0415 (as above)
    from local.replay import ReplayError, replay  # noqa: PLC0415 (as above)
    from local.scenario import ScenarioError, read_scenario  # noqa: PLC0415 (as above)
    from status_app.errors import SettingError  # noqa: PLC0415 (as above)

    file: Path = arguments.file
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        steps = list(read_scenario(file.read_text(encoding="utf-8-sig")))
        with azurite_tables() as tables:
            result = asyncio.run(replay(steps, tables))
    except UnicodeDecodeError:
        print(f"{file}: not UTF-8", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{file}: {error.strerror or error}", file=sys.stderr)
        return 2
    except (ScenarioError, AzuriteError, AppLoadError, MissingSettingError, SettingError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 2
    except ReplayError as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result, indent=1))
    return 0


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1000:  # noqa: PLR2004 (the bounds of the message)
        raise argparse.ArgumentTypeError(f"{number} is not between 1 and 1000")
    return number


if __name__ == "__main__":
    sys.exit(main())
