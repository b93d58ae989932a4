"""Route templates of HTTP triggers."""

import codecs
import re
from dataclasses import dataclass
from urllib.parse import unquote

_AS_SENT = "local.host.route"
_PARAMETER = re.compile(r"\{(\*?)(\w+)(\??)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """A template such as `devices/{id}/modules/{name?}` or `pages/{*rest}`, including the prefix."""

    template: str
    pattern: re.Pattern[str]

    @property
    def rank(self) -> list[int]:
        """Sort key: specific routes first. Text is before a parameter, a parameter before the rest."""
        return [0 if "{" not in part else 2 if "{*" in part else 1 for part in self.template.split("/")]

    def match(self, raw_path: str) -> dict[str, str] | None:
        """Match a raw path: return its parameters, URL-decoded once, or None if it does not match.

        As in Kestrel, the web server of ASP.NET Core: encoded slashes stay encoded, and so do bytes that are not UTF-8.
        A `+` is a `+`. Segments `.` and `..` are resolved, encoded or not. Missing optional parameters are left out.
        """
        found = self.pattern.fullmatch(_resolved(raw_path).strip("/"))
        if found is None:
            return None
        return {name: _decode(value) for name, value in found.groupdict().items() if value}


def parse_route(template: str) -> Route:
    """Read a route template.

    Raises:
        ValueError: A segment mixes text and parameters, or has a constraint: this host supports neither.
    """
    pattern = ""
    for part in template.strip("/").split("/"):
        parameter = _PARAMETER.fullmatch(part)
        slash = "/" if pattern else ""
        if parameter is None:
            if "{" in part:
                raise ValueError(f"segment {part!r} is neither text nor one of {{name}}, {{name?}}, {{*name}}")
            pattern += slash + re.escape(part)
            continue
        rest, name, optional = parameter.groups()
        value = f"{slash}(?P<{name}>{'.*' if rest else '[^/]+'})"
        pattern += f"(?:{value})?" if rest or optional else value
    return Route(template.strip("/"), re.compile(pattern, re.IGNORECASE))


def _decode(text: str) -> str:
    parts = re.split(r"(%2[fF])", text)
    return "".join(part if part.lower() == "%2f" else unquote(part, errors=_AS_SENT) for part in parts)


def _resolved(path: str) -> str:
    """Resolve the segments `.` and `..` of a path."""
    kept: list[str] = []
    for segment in path.split("/"):
        name = segment.replace("%2e", ".").replace("%2E", ".")
        if name == "..":
            del kept[-1:]
        elif name != ".":
            kept.append(segment)
    return "/".join(kept)


def _as_sent(error: UnicodeError) -> tuple[str, int]:
    """Keep the percent-encoding of bytes that are not UTF-8."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(f"%{byte:02X}" for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_AS_SENT, _as_sent)
