"""All checks of the infrastructure."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from checks.infra.alerts import log_alert_findings, log_alerts
from checks.infra.app_settings import app_settings_findings
from checks.infra.kql import Query, document_queries, query_findings, workbook_queries
from checks.infra.layout import layout_findings
from checks.infra.modules import module_findings, parameters_file_findings
from checks.infra.names import name_findings
from checks.infra.roles import role_findings
from checks.infra.schema import schema_findings
from checks.infra.secrets import secret_findings
from checks.infra.syntax import BicepFile, Finding, read_folder
from checks.settings import settings_of_the_code


def findings(folder: Path, root: Path) -> Iterator[Finding]:
    """What is wrong with the Bicep files of a folder, its `main.parameters.json`, and all queries of logs.

    Where a file cannot be parsed, only that is reported: everything else would follow from it.

    Args:
        folder: The folder with `main.bicep`.
        root: The folder of the app whose settings the files give, and whose pages have queries.
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
        yield from layout_findings(file)
    parameters = folder / "main.parameters.json"
    yield from parameters_file_findings(parameters, parameters.relative_to(folder.parent), main)
    yield from app_settings_findings(main, files, settings_of_the_code(root))
    yield from log_alert_findings(main, files)
    yield from _all_query_findings(folder, root, main, files)


def _all_query_findings(
    folder: Path, root: Path, main: BicepFile, files: Mapping[Path, BicepFile]
) -> Iterator[Finding]:
    """Of the alerts, the workbooks and the pages."""
    queries = [alert.query for alert in log_alerts(main, files)]
    for workbook in sorted(folder.rglob("workbook*.json")):
        queries += workbook_queries(workbook, workbook.relative_to(folder.parent))
    for page in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        for found in document_queries(page, page.relative_to(root)):
            if isinstance(found, Query):
                queries.append(found)
            else:
                yield found
    yield from query_findings(queries)
