"""The version of the app. A test compares it with pyproject.toml, schemas/openapi.yaml and CHANGELOG.md."""

from typing import Final

VERSION: Final = "0.1.0"
