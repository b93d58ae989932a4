"""App settings: the environment of the app, `%Name%` in its bindings, and its connections."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_REFERENCE = re.compile(r"%([^%]+)%")


class MissingSettingError(Exception):
    """A binding names an app setting that does not exist."""


class AppSettings:
    """The app settings of one host."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Set the settings as environment variables, where the app reads them; restore the environment afterwards."""
        before = {name: os.environ.get(name) for name in self._values}
        os.environ.update(self._values)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def resolve(self, text: str, function: str) -> str:
        """Replace each `%Name%` in `text`, of a binding of `function`, with that setting.

        Raises:
            MissingSettingError: There is no such setting.
        """

        def value(reference: re.Match[str]) -> str:
            name = reference[1]
            if name not in self._values:
                raise MissingSettingError(f"function {function} needs the app setting {name!r} (in {text!r})")
            return self._values[name]

        return _REFERENCE.sub(value, text)

    def connection(self, name: str, function: str) -> tuple[str | None, str]:
        """Return the connection `name` of `function`: (connection string, "") or (None, fully qualified namespace).

        Raises:
            MissingSettingError: Neither `name` nor `name__fullyQualifiedNamespace` is set.
        """
        identity = f"{name}__fullyQualifiedNamespace"
        if self._values.get(name):
            return self._values[name], ""
        if self._values.get(identity):
            return None, self._values[identity]
        raise MissingSettingError(f"function {function} needs the app setting {name!r} or {identity!r}")

    def managed_identity(self, name: str) -> str | None:
        """Return the client id of the managed identity for the connection `name`; None if none is set."""
        if self._values.get(f"{name}__credential") != "managedidentity":
            return None
        return self._values.get(f"{name}__clientId")
