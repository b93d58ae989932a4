"""`python -m status_core`: what it takes, what it prints, and what it says of bad input."""

import io
import json
import sys
from pathlib import Path

import pytest

from status_core.__main__ import main

TWIN = json.loads(next((Path(__file__).parents[1] / "cases").glob("003_*.json")).read_bytes())["twin"]


def run(monkeypatch: pytest.MonkeyPatch, content: bytes) -> int:
    stdin = io.TextIOWrapper(io.BytesIO(content))
    monkeypatch.setattr(sys, "stdin", stdin)
    return main([])


@pytest.mark.parametrize(
    "content",
    [json.dumps(TWIN), json.dumps(TWIN, indent=1), json.dumps([TWIN]), "\ufeff" + json.dumps(TWIN) + "\n\n"],
    ids=["object", "indented", "array", "byte order mark"],
)
def test_one_twin_in_any_form_gives_one_line(
    content: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, content.encode()) == 0
    status = json.loads(capsys.readouterr().out)
    assert list(status) == [
        "deviceId", "state", "rule", "reason", "message", "desiredVersion", "lastDesiredVersion", "deployments",
        "targeted", "flags", "documented", "portal", "evidence", "modules",
    ]  # fmt: skip
    assert status["modules"]["m1"]["desired"]["status"] == "running"
    assert list(status["modules"]["m1"]["reported"]) == ["status", "image", "exitCode"]


@pytest.mark.parametrize(
    ("content", "said", "printed"),
    [
        (b"", "line 1: no twin", 0),
        (b"{\n oops", "line 2: not JSON", 0),
        (b"\n\xff", "line 2: not UTF-8", 0),
        (b"5", "line 1: a twin is a JSON object, not 5", 0),
        (b'[{}, "x"]', "element 2: a twin is a JSON object", 1),
        (b"{}\n[1]\n{}", "line 2: a twin is a JSON object", 2),
        (b"{}\n{oops\n{}", "line 2: not JSON", 2),
        (b"[" * 200_000, "line 1: not JSON: nested too deeply", 0),
        (b"1" * 5000, "line 1: not JSON", 0),
    ],
)
def test_bad_input_is_told_by_its_place_and_ends_with_2(
    content: bytes, said: str, printed: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, content) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(said)
    assert len(captured.out.splitlines()) == printed


def test_a_file_is_read_and_a_missing_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "twin.json"
    file.write_text(json.dumps(TWIN))
    assert main([str(file)]) == 0
    assert main([str(tmp_path / "none.json")]) == 2
    assert "none.json: No such file" in capsys.readouterr().err
