"""`python -m checks.infra`: prints what is wrong with `infra/`, one finding a line."""

import sys
from pathlib import Path

from checks.infra.check import findings


def main() -> int:
    """Check; 1 where something is wrong."""
    root = Path(__file__).parents[2]
    found = list(findings(root / "infra", root))
    for finding in found:
        print(finding, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
