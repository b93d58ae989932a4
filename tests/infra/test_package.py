"""The package that is built here where the remote build goes wrong: the command of docs/deploying.md makes it."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGET = ".python_packages/lib/site-packages"


def test_the_package_of_the_page_has_all_that_the_app_imports(tmp_path: Path) -> None:
    page = (ROOT / "docs/deploying.md").read_text()
    (line,) = re.findall(r"^    python (-m pip install .*--platform .+)$", page, re.MULTILINE)
    words = [str(tmp_path) if word == TARGET else word for word in shlex.split(line)]
    subprocess.run([sys.executable, *words, "--quiet"], cwd=ROOT, check=True, capture_output=True)  # noqa: S603 (of our own page)
    settings = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    settings |= {
        "IOT_HUB": "hub.azure-devices.net",
        "TwinChanges": "Endpoint=sb://a/",
        "Transitions": "Endpoint=sb://a/",
    }
    # Nothing but the standard library, the package and the app: what is installed here is not seen.
    script = (
        f"import sys; sys.path += [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        f"import function_app, azure.iot.hub, uamqp\nassert {str(tmp_path)!r} in uamqp.__file__"
    )
    isolated = [sys.executable, "-I", "-S", "-c", script]
    result = subprocess.run(isolated, env={**os.environ, **settings}, capture_output=True, text=True, check=False)  # noqa: S603 (as above)
    assert result.returncode == 0, result.stderr
