"""`python -m status_app COMMAND`: what an operator asks of a running app, with the app's own settings."""

import argparse
import asyncio
import os
import sys

from azure.core.exceptions import HttpResponseError

from status_app.dead_letter_replay import replay_dead_letters
from status_app.errors import SettingError, UnavailableError
from status_app.services import Services
from status_app.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        The command's own exit code: 0 or 1; 1 where a service does not answer, 2 where a setting is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m status_app", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "replay-dead-letters",
        help="look again at the devices of the events that could not be processed",
        description="Look again at the devices of the events in the table DeadLetter. What is processed now leaves "
        "the table, the rest stays. Exits with 0 where nothing is left, 1 where something is.",
    )
    command.add_argument("--reason", help="only events with this reason, for instance iothub_unavailable")
    command.add_argument("--dry-run", action="store_true", help="only tell what is there; nothing is changed")
    command.set_defaults(run=_replay_dead_letters)

    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except SettingError as error:
        return _complain(str(error), 2)
    except UnavailableError as error:
        return _complain(str(error), 1)
    except HttpResponseError as error:  # its text may quote a request
        return _complain(f"the table service refused: {error.status_code or type(error).__name__}", 2)
    return code


def _replay_dead_letters(options: argparse.Namespace) -> int:
    async def run() -> bool:
        services = _services()
        try:
            return await replay_dead_letters(services, print, reason=options.reason, dry_run=options.dry_run)
        finally:
            await services.close()

    return 0 if asyncio.run(run()) else 1


def _services() -> Services:
    settings = Settings.read(os.environ)
    try:
        return Services(settings)
    except ValueError:  # its text may quote a key
        raise SettingError("STATUS_TABLES is neither an https endpoint nor a connection string") from None


def _complain(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
