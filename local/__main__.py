"""`python -m local replay FILE.jsonl`: a scenario through the real app; prints what came of it as JSON."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from local.azurite import AzuriteError
from local.replay import replay
from local.scenario import ScenarioError, read_scenario


def main() -> int:
    """Run one command; 2 where its input is bad or something it needs is missing."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("replay", help="replay a scenario through the app")
    command.add_argument("file", type=Path)
    file = parser.parse_args().file
    try:
        steps = list(read_scenario(file.read_text(encoding="utf-8")))
        result = asyncio.run(replay(steps))
    except (OSError, ScenarioError, AzuriteError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
