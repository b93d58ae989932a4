"""All checks of the infrastructure."""

from collections.abc import Iterator
from pathlib import Path

from checks.infra.app_settings import app_settings_findings
from checks.infra.modules import module_findings, parameters_file_findings
from checks.infra.names import name_findings
from checks.infra.roles import role_findings
from checks.infra.schema import schema_findings
from checks.infra.secrets import secret_findings
from checks.infra.syntax import Finding, read_folder
from checks.settings import settings_of_the_code


def findings(folder: Path, root: Path) -> Iterator[Finding]:
    """What is wrong with the Bicep files of a folder, and with its `main.parameters.json`.

    Where a file cannot be parsed, only that is told: everything else would follow from it.

    Args:
        folder: The folder with `main.bicep`.
        root: The folder of the app whose settings the files give.
    """
    files = read_folder(folder)
    broken = [finding for file in files.values() for finding in file.syntax_findings()]
    if broken:
        yield from broken
        return
    main = files[(folder / "main.bicep").resolve()]
    for file in files.values():
        yield from name_findings(file)
        yield from module_findings(file, files)
        yield from schema_findings(file)
        yield from role_findings(file)
        yield from secret_findings(file)
    parameters = folder / "main.parameters.json"
    yield from parameters_file_findings(parameters, parameters.relative_to(folder.parent), main)
    yield from app_settings_findings(main, files, settings_of_the_code(root))
