"""The page of the fleet: one HTML document, built once, with a policy that runs only its own script."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

_FIRST: Final = "main.js"
_IMPORT: Final = re.compile(r'^import (\{[^}]+\}) from "\./(\w+\.js)";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.MULTILINE)
_POLICY: Final = (
    "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


@dataclass(frozen=True, slots=True)
class Page:
    """An HTML document in UTF-8, with its headers."""

    body: bytes
    headers: Mapping[str, str]


@cache
def fleet_page() -> Page:
    """Build the page from the files in `fleet_page/`. It holds no data: its script queries the API."""
    folder = files(__package__) / "fleet_page"
    style = _read(folder, "style.css")
    script = "".join(_in_order(folder, _FIRST, set()))
    body = _read(folder, "page.html").replace("<style></style>", f"<style>{style}</style>")
    body = body.replace('<script type="module"></script>', f'<script type="module">{script}</script>')
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": _POLICY.format(script=_digest(script), style=_digest(style)),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
        "ETag": f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"',
    }
    return Page(body.encode(), MappingProxyType(headers))


def _in_order(folder: Traversable, name: str, seen: set[str]) -> Iterator[str]:
    """Yield a module after its imports, each as a function that returns its exports: a single script has no imports."""
    if name in seen:
        return
    seen.add(name)
    source = _read(folder, name)
    for match in _IMPORT.finditer(source):
        yield from _in_order(folder, match[2], seen)
    exports = ", ".join(_EXPORT.findall(source))
    source = _IMPORT.sub(lambda match: f"const {match[1]} = {_variable(match[2])};", source)
    yield f"const {_variable(name)} = (() => {{\n{_EXPORT.sub('', source)}return {{ {exports} }};\n}})();\n"


def _variable(name: str) -> str:
    return f"${name.removesuffix('.js')}"


def _read(folder: Traversable, name: str) -> str:
    return (folder / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
