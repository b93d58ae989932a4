"""`python -m status_core`: what it takes, what it prints, and what it says of bad input."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twins import AGENT, ASKED, GONE, MODULE, twin_with

from status_core import Reason, evaluate
from status_core.__main__ import main

TWIN = twin_with()
LINE = json.dumps(TWIN)
SMALL = '{"moduleId": "$edgeAgent"}'
SECRET = "hunter2-correct-horse"

type Output = pytest.CaptureFixture[str]


def given(content: bytes, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of the command with this on its standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    return main([])


@pytest.mark.parametrize(
    "content",
    [
        LINE,
        json.dumps(TWIN, indent=4),
        json.dumps(TWIN, indent=4).replace("\n", "\r\n"),
        json.dumps([TWIN]),
        f"\n{LINE}\n\n",
        f"\ufeff{LINE}",
    ],
    ids=["object", "indented", "carriage returns", "array", "blank lines", "byte order mark"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_one_twin_in_any_form_gives_one_line(
    content: str, encoding: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert given(content.encode(encoding), monkeypatch) == 0
    printed = capsys.readouterr()
    assert evaluate(TWIN).as_json() == json.loads(printed.out)
    assert printed.out.count("\n") == 1
    assert printed.err == ""


@pytest.mark.parametrize("form", ["array", "lines", "lines with blanks", "lines after a byte order mark"])
def test_several_twins_give_a_line_each_in_their_order(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    twins = [twin_with({"deviceId": f"edge-{number}"}) for number in range(3)]
    lines = [json.dumps(twin) for twin in twins]
    content = {
        "array": json.dumps(twins, indent=2),
        "lines": "\n".join(lines),
        "lines with blanks": "\n \n\n".join(lines) + "\n",
        "lines after a byte order mark": "\ufeff" + "\n".join(lines),
    }[form]
    assert given(content.encode(), monkeypatch) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [status["deviceId"] for status in printed] == ["edge-0", "edge-1", "edge-2"]


def test_a_line_ends_at_a_new_line_alone(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    odd = json.dumps(twin_with({"deviceId": "a\u2028b\x85c"}), ensure_ascii=False)
    assert given(f"{odd}\n{LINE}".encode(), monkeypatch) == 0
    assert capsys.readouterr().out.count("\n") == 2


def test_an_empty_array_is_no_error_and_prints_nothing(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    assert given(b"[]", monkeypatch) == 0
    assert capsys.readouterr() == ("", "")


def test_a_line_has_exactly_the_keys_that_scripts_rely_on(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    given(json.dumps(twin_with({MODULE: GONE})).encode(), monkeypatch)
    status = json.loads(capsys.readouterr().out)
    assert list(status) == [
        "deviceId", "state", "rule", "reason", "message", "cause", "desiredVersion", "lastDesiredVersion",
        "deployments", "targeted", "flags", "documented", "portal", "evidence", "lint", "modules",
    ]  # fmt: skip
    assert {tuple(item) for item in status["evidence"]} == {("path", "value", "expected", "expectedPath")}
    assert list(status["modules"]) == ["$edgeAgent", "$edgeHub", "m1"]
    assert status["modules"]["m1"] == {
        "state": "missing",
        "reason": "settling",
        "message": "m1 is not on the device; it should run registry.example/m1:1.0.",
        "cause": "settling: m1, registry.example/m1:1.0",
        "desired": {"status": "running", "image": "registry.example/m1:1.0"},
        "reported": {
            "status": None,
            "image": None,
            "exitCode": None,
            "restartCount": None,
            "lastStartAt": None,
            "lastExitAt": None,
        },
    }


def test_a_line_has_what_a_module_reports(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    exited = {"exitCode": 3, "restartCount": 2, "lastExitTimeUtc": "2026-01-01T09:40:00Z", "runtimeStatus": "backoff"}
    given(json.dumps(twin_with({f"{MODULE}.{key}": value for key, value in exited.items()})).encode(), monkeypatch)
    modules = json.loads(capsys.readouterr().out)["modules"]
    assert (modules["$edgeHub"]["cause"], modules["m1"]["cause"]) == (
        None,
        "backoff: m1, registry.example/m1:1.0, exit code 3",
    )
    assert modules["m1"]["reported"] == {
        "status": "backoff",
        "image": "registry.example/m1:1.0",
        "exitCode": 3,
        "restartCount": 2,
        "lastStartAt": "2026-01-01T09:01:30.123456+00:00",
        "lastExitAt": "2026-01-01T09:40:00+00:00",
    }


@pytest.mark.parametrize(
    ("content", "said", "printed"),
    [
        (b"", "line 1: the input is empty", 0),
        (b" \n\n", "line 1: the input is empty", 0),
        (b"\xef\xbb\xbf", "line 1: the input is empty", 0),
        (b"{\n oops", "line 2: not JSON", 0),
        (b"\n\xff", "line 2: not UTF-8\n", 0),
        (b"\xef\xbb\xbf\n\n\xff", "line 3: not UTF-8\n", 0),
        (f"{LINE}\n{LINE}\n".encode() + b'{"a": "\xe4"}', "line 3: not UTF-8", 0),
        (f"{LINE}\n".encode("utf-16") + b"\x00", "line 2: not UTF-16", 0),
        (b"5", "line 1: a twin is a JSON object, not a number", 0),
        (b"null", "line 1: a twin is a JSON object, not null", 0),
        (b"true", "line 1: a twin is a JSON object, not true or false", 0),
        (b'"text"', "line 1: a twin is a JSON object, not a text", 0),
        (b"\n\n5\n\n", "line 3: a twin is a JSON object, not a number", 0),
        (b'[S, "text", S]', "line 1: element 2: a twin is a JSON object, not a text", 2),
        (b'[\n{"moduleId":\n"$edgeAgent"},\n\n"text",\nS\n]\n', "line 5: element 2: a twin is a JSON object, not", 2),
        (b'\n\n[S, "text"]', "line 3: element 2: a twin is a JSON object, not a text", 1),
        (b"[[S]]", "line 1: element 1: a twin is a JSON object, not an array", 0),
        (b"[{}]", "line 1: element 1: not a twin. Ask for it: az iot hub module-twin show", 0),
        (b"S\n[1]\nS", "line 2: a twin is a JSON object, not an array", 2),
        (b"S\n{oops\nS", "line 2: not JSON", 2),
        (b"S\n\nS\n{oops", "line 4: not JSON", 2),
        (b"{oops\nS", "line 1: not JSON", 1),
        (b"S\n{}\nS", "line 2: not a twin. Ask for it: az iot hub module-twin show", 2),
        (b"[" * 200_000, "line 1: not JSON: nested too deeply", 0),
        (b"S\n" + b"[" * 200_000, "line 2: not JSON: nested too deeply", 1),
        (b"1" * 5000, "line 1: not JSON: Exceeds the limit (4300 digits)", 0),
    ],
)
def test_bad_input_is_told_by_its_place_the_rest_is_judged_and_the_code_is_2(
    content: bytes, said: str, printed: int, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert given(content.replace(b"S", SMALL.encode()), monkeypatch) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(said)
    assert captured.err.count("\n") == 1
    assert len(captured.out.splitlines()) == printed


def test_lines_are_told_one_by_one_where_only_the_last_is_an_object(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert given(f"{{oops\n5\n{SMALL}".encode(), monkeypatch) == 2
    captured = capsys.readouterr()
    assert [line.partition(":")[0] for line in captured.err.splitlines()] == ["line 1", "line 2"]
    assert captured.out.count("\n") == 1


@pytest.mark.parametrize(
    "content",
    [
        f'{{"password": {SECRET}}}',
        f'{SMALL}\n{{"password": "{SECRET}"\n{SMALL}',
        f'["{SECRET}"]',
        f'"{SECRET}"',
        f'{{"password": "{SECRET}\x01"}}',
        f'{{"password": "{SECRET}\\x"}}',
        f'{{"password": "{SECRET}"}}',
        f'[{SMALL}, {{"error": "{SECRET}"}}]',
    ],
)
def test_what_is_said_of_bad_input_quotes_nothing_of_it(
    content: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert given(content.encode(), monkeypatch) == 2
    captured = capsys.readouterr()
    assert "hunter2" not in captured.err + captured.out


def test_a_file_is_read_and_one_that_cannot_be_is_named(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "twin.json"
    file.write_text(LINE)
    assert main([str(file)]) == 0
    assert evaluate(TWIN).as_json() == json.loads(capsys.readouterr().out)
    assert main([str(tmp_path / "none.json")]) == 2
    assert "none.json: No such file" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 2
    assert "Is a directory" in capsys.readouterr().err


def test_the_command_judges_the_good_lines_of_a_pipe_and_tells_the_bad_one_on_standard_error() -> None:
    command = [sys.executable, "-m", "status_core"]
    content = f"{LINE}\n{{oops\n{LINE}\n".encode()
    result = subprocess.run(command, input=content, capture_output=True, check=False)  # noqa: S603 (a fixed command)
    assert (result.returncode, len(result.stdout.splitlines())) == (2, 2)
    assert result.stderr.startswith(b"line 2: not JSON")


def test_the_command_reads_a_file_and_prints_ascii_whatever_the_locale(tmp_path: Path) -> None:
    file = tmp_path / "twin.json"
    file.write_text(json.dumps(twin_with({"deviceId": "z\u00fcrich-\ud800"})))
    command = [sys.executable, "-m", "status_core", str(file)]
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(command, env=environment, capture_output=True, check=True)  # noqa: S603 (a fixed command)
    assert json.loads(result.stdout)["deviceId"] == "z\u00fcrich-\ud800"


def manifest(module: Any) -> dict[str, Any]:
    desired = twin_with()["properties"]["desired"]
    return {"modulesContent": {"$edgeAgent": {"properties.desired": {**desired, "modules": {"m1": module}}}}}


GOOD = {"type": "docker", "status": "running", "settings": {"image": "m1:1"}}
REFUSED = [
    ({"moduleId": "$edgeHub", "deviceId": "edge 1"}, "the twin of $edgeHub, not of $edgeAgent.", "-id 'edge 1' "),
    ({"deviceId": "edge-1", "properties": {"desired": {}, "reported": {}}}, "a device twin, not that", "-id edge-1 "),
    ({"deviceId": "edge-1", "properties": {"desired": {"rate": 5}}}, "a device twin, not that", "module-twin show"),
    (manifest(GOOD), "a deployment manifest, not a twin.", "python -m status_core --lint FILE"),
    ({"content": manifest(GOOD)}, "a deployment manifest, not a twin.", "python -m status_core --lint FILE"),
    ({"twin": TWIN, "expected": {}}, "an object with a twin in its member twin. Extract it:", "jq .twin"),
    ({"Message": "ErrorCode:ModuleNotFound"}, "an error document, not a twin.", "--device-id DEVICE"),
    ({"error": {"code": "x"}}, "an error document, not a twin.", "az iot hub module-twin show --hub-name HUB"),
    ({"rows": []}, "not a twin.", "az iot hub module-twin show --hub-name HUB"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "what", "command"), REFUSED, ids=lambda value: str(value)[:20])
def test_what_is_no_edge_agent_twin_is_refused_by_its_name_with_the_command_that_gives_one(
    document: dict[str, Any], what: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert given(f"{LINE}\n{json.dumps(document)}\n{LINE}".encode(), monkeypatch) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"line 2: {what}")
    assert command in captured.err
    assert len(captured.out.splitlines()) == 2


@pytest.mark.parametrize("key", ["systemModules", "modules", "schemaVersion", "lastDesiredStatus"])
@pytest.mark.parametrize("section", ["desired", "reported"])
def test_a_twin_that_does_not_name_its_module_is_taken_if_it_holds_what_an_agents_does(
    key: str, section: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert given(json.dumps({"properties": {section: {key: {}}}}).encode(), monkeypatch) == 0
    assert capsys.readouterr().err == ""


def told(twins: list[object], monkeypatch: pytest.MonkeyPatch, capsys: Output) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of the command with --text."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(twins).encode())))
    code = main(["--text"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_for_people_each_device_is_a_paragraph_and_causes_are_grouped_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    pull = {
        "reported.lastDesiredStatus": {"code": 500, "description": "Error calling prepare update for module m1: x509"},
        f"{MODULE}.settings.image": "registry.example/m1:0.9",
    }
    fleet = [twin_with({"deviceId": f"edge-{number}", **(pull if number else {})}) for number in range(6)]
    code, out, err = told([*fleet, {"moduleId": "$edgeHub"}], monkeypatch, capsys)
    paragraphs = out.split("\n\n")
    assert code == 2
    assert paragraphs[0] == "edge-0: successful"
    assert paragraphs[1].splitlines()[0] == "edge-1: in_progress (registry_unreachable)"
    assert paragraphs[1].splitlines()[1].startswith("  Version 12 is not in force yet: m1. The device does not reach")
    assert paragraphs[1].splitlines()[2] == "  m1: updating (registry_unreachable)"
    assert paragraphs[6] == "6 devices: 5 in_progress, 1 successful"
    assert paragraphs[7].splitlines() == [
        "5 devices: registry_unreachable: m1, registry.example/m1:1.0",
        f"  {Reason.REGISTRY_UNREACHABLE.means} {Reason.REGISTRY_UNREACHABLE.advice}",
        "  edge-1, edge-2, edge-3 and 2 more",
    ]
    assert err.startswith("line 1: element 7: the twin of $edgeHub")


def test_for_people_the_cause_of_the_most_devices_comes_first_and_three_of_them_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    words = ["unhealthy", *["backoff"] * 3, *["failed"] * 4, "dead"]
    fleet: list[object] = [
        twin_with({"deviceId": f"edge-{number}", f"{MODULE}.runtimeStatus": word}) for number, word in enumerate(words)
    ]
    causes = told(fleet, monkeypatch, capsys)[1].split("\n\n")[-4:]
    assert [(lines[0], lines[-1]) for lines in map(str.splitlines, causes)] == [
        ("4 devices: exited: m1, registry.example/m1:1.0, exit code 0", "  edge-4, edge-5, edge-6 and 1 more"),
        ("3 devices: backoff: m1, registry.example/m1:1.0, exit code 0", "  edge-1, edge-2, edge-3"),
        ("1 device: dead: m1, registry.example/m1:1.0, exit code 0", "  edge-8"),
        ("1 device: unhealthy: m1, registry.example/m1:1.0, exit code 0", "  edge-0"),
    ]


def test_for_people_a_module_tells_its_restarts_and_what_differs_from_the_devices_cause(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    restarted = {f"{MODULE}.restartCount": 1, f"{MODULE}.lastExitTimeUtc": "2026-01-01T09:00:00Z"}
    never_seen = {f"{MODULE}.restartCount": 1, f"{MODULE}.lastExitTimeUtc": GONE}
    two = {f"{MODULE}.runtimeStatus": "dead", "reported.systemModules.edgeHub.runtimeStatus": "backoff"}
    lint = {f"{ASKED}.settings.image": "${M1}", "deviceId": "", "configurations": {"a": {"status": "Targeted"}}}
    lint[f"{AGENT}.runtimeStatus"] = "unknown"
    _, out, _ = told(
        [twin_with(changes) for changes in (restarted, never_seen, {**two, **restarted}, lint)], monkeypatch, capsys
    )
    first, second, third, fourth, counts, *_ = out.split("\n\n")
    assert first.splitlines()[1].startswith("  m1: settled, exited once, ")
    assert first.endswith(" ago")
    assert second.splitlines()[1] == "  m1: settled, restarts: 1"
    assert third.splitlines()[0] == "edge-01: module_failed (backoff)"
    assert third.splitlines()[2] == "  $edgeHub: wrong_status (backoff)"
    assert third.splitlines()[3].startswith("  m1: wrong_status (dead), exited once, ")
    assert third.splitlines()[4].startswith("    m1 is dead and should be running. ")
    assert fourth.splitlines()[0] == "(no deviceId): in_progress (settling) [agent_status_unknown, not_credited]"
    assert (
        "  lint: properties.desired.modules.m1.settings.image: a placeholder ${...} of a template is left in it"
        in fourth
    )
    assert counts == "4 devices: 2 successful, 1 module_failed, 1 in_progress"


def test_a_long_fleet_says_on_standard_error_how_far_it_is_and_an_empty_one_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    code, out, err = told([{"moduleId": "$edgeAgent"}] * 2500, monkeypatch, capsys)
    assert (code, err) == (0, "1,000 twins\n2,000 twins\n")
    assert "2,500 devices: 2500 no_deployment" in out
    assert told([], monkeypatch, capsys) == (0, "", "")


def test_for_people_nothing_moves_a_terminal_and_no_locale_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "twin.json"
    file.write_text(json.dumps(twin_with({"deviceId": "z\u00fcrich-\ud800\x1b[2J"})))
    printed = io.BytesIO()
    with io.TextIOWrapper(printed, encoding="ascii") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert main(["--text", str(file)]) == 0
        terminal.flush()
        assert printed.getvalue().splitlines()[0] == b"z\\xfcrich-  [2J: successful"


def test_for_people_what_is_no_twin_costs_no_other_its_paragraph(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    code, out, err = told([TWIN, {"moduleId": "$edgeHub"}, twin_with({"deviceId": "edge-2"})], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert out.split("\n\n") == ["edge-01: successful", "edge-2: successful", "2 devices: 2 successful\n"]


def test_for_people_the_time_of_the_next_try_is_counted_from_now(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    pull = {
        "reported.lastDesiredStatus": {"code": 500, "description": "Error calling prepare update for module m1: x509"},
        f"{MODULE}.settings.image": "registry.example/m1:0.9",
        "reported.$metadata.lastDesiredVersion.$lastUpdated": "2026-01-01T09:10:00Z",
    }
    assert "The agent tries again about " in told([twin_with(pull)], monkeypatch, capsys)[1]


def linted(documents: object, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> tuple[int, list[str], str]:
    """The exit code, the findings and standard error of the command with --lint."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(documents).encode())))
    code = main(["--lint"])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


BAD = {"type": "docker", "settings": {"image": "m1:1"}}
MISSING = "missing; use running or stopped"


def test_lint_says_nothing_of_what_the_agent_takes(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    documents: list[Any] = [
        TWIN,
        manifest(GOOD),
        {"content": manifest(GOOD)},
        [manifest(GOOD), TWIN],
        {"$edgeAgent": {}},
    ]
    for document in documents:
        assert linted(document, monkeypatch, capsys) == (0, [], "")


def test_lint_gives_path_and_problem_a_line_and_ends_with_1(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    path = "$edgeAgent.properties.desired.modules.m1.status"
    assert linted(twin_with({f"{ASKED}.status": GONE}), monkeypatch, capsys) == (
        1,
        [f"properties.desired.modules.m1.status: {MISSING}"],
        "",
    )
    assert linted(manifest(BAD), monkeypatch, capsys) == (1, [f"modulesContent.{path}: {MISSING}"], "")
    wrapped = {"id": "base", "content": manifest(BAD)}
    assert linted(wrapped, monkeypatch, capsys) == (1, [f"content.modulesContent.{path}: {MISSING}"], "")
    assert linted({"$edgeAgent": {"properties.desired.modules.m1": BAD}}, monkeypatch, capsys) == (
        1,
        [f"{path}: {MISSING}"],
        "",
    )


def test_lint_names_each_of_several_documents_by_its_id_or_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    wrapped = {"id": "base", "content": manifest(BAD)}
    code, found, err = linted([wrapped, {"deviceId": "d"}, manifest(BAD)], monkeypatch, capsys)
    assert code == 2
    assert [line.partition(": ")[0] for line in found] == ["base", "line 1"]
    assert err.startswith("line 1: element 2: not a twin.")
    twin = twin_with({"deviceId": "edge-7", f"{ASKED}.status": GONE})
    code, found, err = linted([twin, manifest(BAD)], monkeypatch, capsys)
    assert (code, err) == (1, "")
    assert [line.partition(": ")[0] for line in found] == ["edge-7", "element 2"]


def test_lint_weighs_the_report_of_a_twin_too(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    code, found, _ = linted(twin_with({"reported.pad": "x" * 30_000}), monkeypatch, capsys)
    assert code == 1
    assert [line.partition(": ")[0] for line in found] == ["properties.reported"]


def test_lint_gives_what_nobody_wants_in_a_manifest_with_its_path(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    left = {**GOOD, "settings": {"image": "m1:${VERSION}"}}
    code, found, _ = linted(manifest(left), monkeypatch, capsys)
    assert code == 1
    assert [line.partition(": ")[0] for line in found] == [
        "modulesContent.$edgeAgent.properties.desired.modules.m1.settings.image"
    ]


def test_lint_takes_the_dotted_paths_of_a_layer(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    def layer(paths: dict[str, Any]) -> dict[str, Any]:
        return {
            "modulesContent": {"$edgeAgent": {f"properties.desired.{path}": value for path, value in paths.items()}}
        }

    whole = {"modules.m1": GOOD, "modules.m2": BAD}
    parts = {"modules.m1.env.LEVEL": {"value": "info"}, "modules.m1.status": "started", "modules.m2.settings.image": ""}
    place = "modulesContent.$edgeAgent.properties.desired.modules"
    assert linted(layer(whole), monkeypatch, capsys) == (1, [f"{place}.m2.status: {MISSING}"], "")
    assert linted(layer({"modules.m1": {"env": {}}, "modules.m3": None}), monkeypatch, capsys) == (0, [], "")
    pieces = {"runtime.settings.minDockerVersion": "v1.25", "modules.m1.settings.createOptions": "{}"}
    assert linted(layer(pieces), monkeypatch, capsys) == (0, [], "")
    code, found, _ = linted(layer(parts), monkeypatch, capsys)
    assert code == 1
    assert found == [
        f'{place}.m1.status: "started" is not valid; use running or stopped',
        f"{place}.m2.settings.image: missing or empty",
    ]
    base = manifest(GOOD)
    base["modulesContent"]["$edgeAgent"]["properties.desired.modules.m2"] = BAD
    assert linted(base, monkeypatch, capsys) == (1, [f"{place}.m2.status: {MISSING}"], "")
    odd = {"modules": 5, "modules.m1.status": "running", "modules.m1.status.x": "y"}
    assert linted(layer(odd), monkeypatch, capsys)[0] == 1


def test_lint_and_text_are_two_forms_of_which_one_is_chosen(capsys: Output) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--lint", "--text"])
    assert stopped.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_help_says_what_it_takes_and_what_each_form_is_for(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: python -m status_core [-h] [--text | --lint] [file]"
    assert "read `$edgeAgent` twins, print the state of each deployment." in lines[2]
    assert [line.strip().split(maxsplit=1) for line in lines if line.startswith(("  file ", "  --"))] == [
        ["file", "JSON: an object, an array or JSON Lines (default: stdin)"],
        ["--text", "for people: a paragraph per device, causes at the end"],
        ["--lint", "check twins or deployment manifests; 1 if anything is found"],
    ]
