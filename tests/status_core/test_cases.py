"""The golden cases: twins with the state each must get."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from status_core import evaluate

CASES = sorted((Path(__file__).parents[1] / "cases").glob("*.json"))


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes())  # type: ignore[no-any-return]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_case_gets_its_state_and_the_documents_literal_rules(path: Path) -> None:
    case = load(path)
    status = evaluate(case["twin"])
    assert case["expected"]["state"] == status.state
    assert set(case["expected"]["documented_rules"]) == set(status.documented)


def test_the_command_judges_json_lines_as_the_function_does() -> None:
    cases = [load(path) for path in CASES]
    lines = "\n".join(json.dumps(case["twin"]) for case in cases)
    result = subprocess.run(
        [sys.executable, "-m", "status_core"], input=lines, capture_output=True, text=True, check=True
    )
    statuses = [json.loads(line) for line in result.stdout.splitlines()]
    assert [case["expected"]["state"] for case in cases] == [status["state"] for status in statuses]
    assert [evaluate(case["twin"]).as_json() for case in cases] == statuses


def test_a_bad_line_is_told_with_its_number_and_the_others_are_judged() -> None:
    twin = json.dumps(load(CASES[0])["twin"])
    result = subprocess.run(
        [sys.executable, "-m", "status_core"],
        input=f'{twin}\n{{"password": oops}}\n{twin}\n',
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr.startswith("line 2: not JSON")
    assert "password" not in result.stderr
