"""The version of the app: that of pyproject.toml, schemas/openapi.yaml and CHANGELOG.md, as a test compares."""

from typing import Final

VERSION: Final = "0.1.0"
