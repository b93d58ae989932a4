"""docs/library.md: its examples run where nothing but the wheel is installed, and its names are those of the core."""

import json
import re
import shutil
import signal
import subprocess
import sys
import venv
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest
from running_demo import page_of, start

import status_core

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/library.md").read_text()
ONE_TWIN, OVER_TIME = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
TRACE = ROOT / "tests/field/agent/d2_crash_loop_3s_3h.jsonl"
CASE = ROOT / "tests/cases/048_200_module_backoff.json"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel alone."""
    folder = tmp_path_factory.mktemp("library")
    source = folder / "source"  # a build leaves files beside what it builds
    for package in ("status_core", "status_app"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True, cwd=folder)  # noqa: S603 (a fixed command)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    found = folder / "venv/bin/python"
    (target,) = (folder / "venv").glob("lib/*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, cwd=folder)  # noqa: S603 (as above)
    return found


def test_the_wheel_has_the_core_with_its_types_and_the_commands_and_nothing_else(python: Path) -> None:
    packages = {path.name for path in python.parents[1].glob("lib/*/site-packages/*") if path.is_dir()}
    assert {name for name in packages if not name.endswith(".dist-info")} - {"__pycache__", "bin"} == {
        "status_core",
        "status_app",
    }
    assert list(python.parents[1].glob("lib/*/site-packages/status_core/py.typed"))


class OneCause(BaseHTTPRequestHandler):
    """An API of which a fleet has one cause."""

    def do_GET(self) -> None:
        is_known = self.headers["x-functions-key"] == "a-key" and self.path.startswith("/api/causes?")
        body = json.dumps({"items": [{"cause": "backoff: m1", "devices": 16}], "next": None}).encode()
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_edge_status_asks_the_api_where_nothing_but_the_wheel_is_installed(python: Path, tmp_path: Path) -> None:
    (entry,) = python.parents[1].glob("lib/*/site-packages/*.dist-info/entry_points.txt")
    assert "edge-status = status_app.command_line:command" in entry.read_text()
    program = "import sys; from status_app.command_line import command; sys.argv[0] = 'edge-status'; command()"
    server = ThreadingHTTPServer(("127.0.0.1", 0), OneCause)
    Thread(target=server.serve_forever, daemon=True).start()
    address = {"DEPLOYMENT_STATUS_URL": f"http://127.0.0.1:{server.server_port}", "DEPLOYMENT_STATUS_KEY": "a-key"}

    def ask(*arguments: str, **environment: str) -> tuple[int, str, str]:
        command = [str(python), "-I", "-c", program, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 (fixed)
        return done.returncode, done.stdout, done.stderr

    code, printed, errors = ask("causes", **address)
    assert (code, errors) == (0, "")
    assert [line.split() for line in printed.splitlines()][1] == ["16", "backoff:", "m1"]
    code, _, errors = ask("causes", STATUS_TABLES="https://a.table.core.windows.net")
    assert (code, "pip install 'edge-deployment-status[tables]'" in errors) == (69, True)
    code, _, errors = ask("mcp", **address)
    assert (code, "pip install 'edge-deployment-status[mcp]'" in errors) == (69, True)
    code, _, errors = ask("doctor")
    assert (code, "is not installed" in errors) == (69, True)
    server.shutdown()
    server.server_close()


def test_the_demo_stays_up_for_its_page_and_for_edge_status_of_the_wheel_alone(python: Path, tmp_path: Path) -> None:
    program = "from status_app.command_line import command; command()"
    with start(tmp_path, "--devices", "2", "--stay") as demo:
        assert demo.stdout is not None
        address_of_the_page = page_of(demo)
        stays = next(line for line in demo.stdout if "The page stays up" in line)
        assert stays.endswith(f" {address_of_the_page}\n")
        with urlopen(address_of_the_page) as answer:  # noqa: S310 (the demo's own address)
            assert b"<title>Edge deployments</title>" in answer.read()
        page = urlsplit(address_of_the_page)
        key = parse_qs(page.fragment)["key"][0]
        address = {"DEPLOYMENT_STATUS_URL": f"http://{page.netloc}", "DEPLOYMENT_STATUS_KEY": key}
        asked = ["wait", "--deployment", "release-2", "--timeout", "PT0S", "--summary", "summary.md"]
        command = [str(python), "-I", "-c", program, *asked]
        done = subprocess.run(command, cwd=tmp_path, env=address, capture_output=True, text=True, check=False)  # noqa: S603 (fixed)
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate()
    assert (demo.returncode, err) == (0, "")
    assert "Everything is stopped." in out
    assert (done.returncode, done.stderr) == (2, "")
    assert "of 2 successful" in done.stdout
    assert "release-2" in (tmp_path / "summary.md").read_text()
    assert key not in done.stdout


def run(python: Path, example: str, given: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-I", "-c", example]
    return subprocess.run(command, cwd=folder, input=given, capture_output=True, text=True, check=False)  # noqa: S603 (the page's own)


def test_the_first_example_judges_a_twin_and_fails_where_it_is_not_successful(python: Path, tmp_path: Path) -> None:
    result = run(python, ONE_TWIN, json.dumps(json.loads(CASE.read_text())["twin"]), tmp_path)
    assert result.returncode == 1, result.stderr
    assert "module_failed" in result.stdout
    assert "wrong_status, backoff" in result.stdout


def test_the_second_example_prints_the_news_of_a_device(python: Path, tmp_path: Path) -> None:
    lines = [line for line in TRACE.read_text().splitlines() if "twin" in json.loads(line)]
    result = run(python, OVER_TIME, "\n".join(lines), tmp_path)
    assert result.returncode == 0, result.stderr
    assert "module m1 wrong_status backoff" in result.stdout


def test_the_page_names_only_what_the_core_exports() -> None:
    table = PAGE.partition("## What is public")[2].partition("## Versions")[0]
    named = set(re.findall(r"`(\w+)`", table)) - {"status_core"}
    assert named <= set(status_core.__all__), named - set(status_core.__all__)
