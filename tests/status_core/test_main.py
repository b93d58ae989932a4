"""`python -m status_core`: what it takes, what it prints, and what it says of bad input."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from twins import GONE, MODULE, twin_with

from status_core import evaluate
from status_core.__main__ import main

TWIN = twin_with()
LINE = json.dumps(TWIN)
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
def test_one_twin_in_any_form_gives_one_line(content: str, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    assert given(content.encode(), monkeypatch) == 0
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
        "deviceId", "state", "rule", "reason", "message", "desiredVersion", "lastDesiredVersion", "deployments",
        "targeted", "flags", "documented", "portal", "evidence", "modules",
    ]  # fmt: skip
    assert {tuple(item) for item in status["evidence"]} == {("path", "value", "expected", "expectedPath")}
    assert list(status["modules"]) == ["$edgeAgent", "$edgeHub", "m1"]
    assert status["modules"]["m1"] == {
        "state": "missing",
        "reason": "settling",
        "message": "m1 is not on the device; it should run registry.example/m1:1.0.",
        "desired": {"status": "running", "image": "registry.example/m1:1.0"},
        "reported": {"status": None, "image": None, "exitCode": None},
    }


@pytest.mark.parametrize(
    ("content", "said", "printed"),
    [
        (b"", "line 1: no twin in the input", 0),
        (b" \n\n", "line 1: no twin in the input", 0),
        (b"\xef\xbb\xbf", "line 1: no twin in the input", 0),
        (b"{\n oops", "line 2: not JSON", 0),
        (b"\n\xff", "line 2: not UTF-8", 0),
        (f"{LINE}\n{LINE}\n".encode() + b'{"a": "\xe4"}', "line 3: not UTF-8", 0),
        (LINE.encode("utf-16"), "line 1: not UTF-8", 0),
        (b"5", "line 1: a twin is a JSON object, not a number", 0),
        (b"null", "line 1: a twin is a JSON object, not null", 0),
        (b"true", "line 1: a twin is a JSON object, not true or false", 0),
        (b'"text"', "line 1: a twin is a JSON object, not a text", 0),
        (b"\n\n5", "line 3: a twin is a JSON object, not a number", 0),
        (b'[{}, "text", {}]', "line 1: element 2: a twin is a JSON object, not a text", 2),
        (b'[\n{"a":\n1},\n\n"text",\n{}\n]\n', "line 5: element 2: a twin is a JSON object, not a text", 2),
        (b"[[{}]]", "line 1: element 1: a twin is a JSON object, not an array", 0),
        (b"{}\n[1]\n{}", "line 2: a twin is a JSON object, not an array", 2),
        (b"{}\n{oops\n{}", "line 2: not JSON", 2),
        (b"{}\n\n{}\n{oops", "line 4: not JSON", 2),
        (b"{oops\n{}", "line 1: not JSON", 1),
        (b"[" * 200_000, "line 1: not JSON: nested too deeply", 0),
        (b"{}\n" + b"[" * 200_000, "line 2: not JSON: nested too deeply", 1),
        (b"1" * 5000, "line 1: not JSON", 0),
    ],
)
def test_bad_input_is_told_by_its_place_the_rest_is_judged_and_the_code_is_2(
    content: bytes, said: str, printed: int, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    assert given(content, monkeypatch) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(said)
    assert captured.err.count("\n") == 1
    assert len(captured.out.splitlines()) == printed


@pytest.mark.parametrize(
    "content",
    [
        f'{{"password": {SECRET}}}',
        f'{{}}\n{{"password": "{SECRET}"\n{{}}',
        f'["{SECRET}"]',
        f'"{SECRET}"',
        f'{{"password": "{SECRET}\x01"}}',
        f'{{"password": "{SECRET}\\x"}}',
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
