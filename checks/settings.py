"""The settings that the app reads, found by letting it read them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from status_app.notify.targets import read_targets
from status_app.settings import Settings


class Recorder(dict[str, str]):
    """Settings that know which of them were read."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a setting, which is read from now on."""
        self.read.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> str:
        self.read.add(key)
        return super().__getitem__(key)


def settings_of_the_code(root: Path) -> set[str]:
    """The names of all settings that `status_app` and the bindings read; of a connection, its name alone."""
    recorder = Recorder(json.loads((root / "local.settings.example.json").read_text())["Values"])
    Settings.read(recorder)
    read_targets(recorder)
    source = (root / "function_app.py").read_text()
    bindings = re.findall(r'connection="(\w+)"|"%?([A-Z]+(?:_[A-Z]+)+)%?"', source)
    names = recorder.read.union(*bindings) - {""}
    return {name.partition("__")[0] for name in names}
