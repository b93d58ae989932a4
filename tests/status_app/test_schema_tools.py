"""The tools that others read schemas/ with take it as it is, and `make lint` stops where one of them would."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from test_schemas import deployment_events, events

ROOT = Path(__file__).parents[2]
CHECK = "node checks/schemas/main.mjs"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the check reads."""
    for name in ("schemas", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def check(project: Path, *events: Path) -> tuple[int, str]:
    """Exit code and findings of the check."""
    command = [*CHECK.split(), str(project), *map(str, events)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 (our own)
    return result.returncode, result.stderr


def replace(path: Path, pattern: str, replacement: str) -> None:
    """Put a former mistake back into a file."""
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count
    path.write_text(text)


def test_lint_runs_the_check() -> None:
    printed = subprocess.run(["make", "--dry-run", "lint"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607 (make of the PATH)
    assert CHECK in printed.splitlines()


def test_every_tool_takes_the_schemas_and_events_of_every_kind(project: Path) -> None:
    real = project / "events.jsonl"
    shown = [*(event for _, event in events()), *deployment_events()]
    real.write_text("".join(f"{json.dumps(event)}\n" for event in shown))
    assert check(project, real) == (0, "")
    types = (project / "schemas/openapi.d.ts").read_text()
    assert '"/devices/{deviceId}/transitions": {' in types


def test_a_mistake_that_stops_one_of_the_tools_is_found(project: Path) -> None:
    schemas = project / "schemas"
    replace(schemas / "openapi.yaml", r"\bOnlyTrue\b", "True")  # a name that YAML reads as a boolean
    urn = "urn:edge-deployment-status:2:definitions#/$defs/"
    replace(schemas / "edge.deployment.started.json", r"#/\$defs/", urn)  # another schema
    replace(schemas / "edge.deployment.module.stuck.json", r'\n  "type": "object",', "")  # properties without a type
    code, findings = check(project)
    assert code == 1
    for finding in (
        "schemas/openapi.yaml: Redocly, no-unresolved-refs: ",
        "schemas/openapi.yaml: openapi-typescript: Error: Can't resolve $ref",
        "schemas/asyncapi.yaml: @asyncapi/parser, invalid-ref: ",
        "schemas/edge.deployment.started.json: Ajv, ",
        "schemas/edge.deployment.module.stuck.json: Ajv, ",
        'strict mode: missing type "object" for keyword "properties"',
    ):
        assert finding in findings


def test_wrong_events_and_an_old_copy_of_a_definition_are_found(project: Path) -> None:
    replace(project / "docs/subscribing.md", '"reason": "backoff"', '"reason": "none"')
    replace(project / "schemas/edge.deployment.started.json", "Its id.", "Its name.")
    further = project / "events.jsonl"
    event = deployment_events()[0]
    wrong = ({**event, "source": ""}, {**event, "type": "edge.deployment.begun"})
    further.write_text("".join(f"{json.dumps(one)}\n" for one in wrong))
    code, findings = check(project, further)
    assert code == 1
    assert "docs/subscribing.md: Ajv: /reason must be equal to one of the allowed values" in findings
    assert "schemas/edge.deployment.started.json: its $defs are not those of definitions.json" in findings
    assert "events.jsonl: cloudevents: TypeError: invalid payload" in findings
    assert 'events.jsonl: no message "edge.deployment.begun" is known' in findings
