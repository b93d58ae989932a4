"""Route templates of HTTP triggers."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

_PARAMETER = re.compile(r"\{(\*?)(\w+)(\??)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """A template such as `devices/{id}/modules/{name?}` or `pages/{*rest}`, its prefix included."""

    template: str
    pattern: re.Pattern[str]

    @property
    def rank(self) -> list[int]:
        """Sorts the more particular route first: text before a parameter, a parameter before the rest."""
        return [0 if "{" not in part else 2 if "{*" in part else 1 for part in self.template.split("/")]

    def match(self, raw_path: str) -> dict[str, str] | None:
        """The parameters in a path as it was sent, URL-decoded, or None where the path does not fit.

        An encoded slash stays encoded, as in ASP.NET Core. Optional parameters that are not there are left out.
        """
        found = self.pattern.fullmatch(raw_path.strip("/"))
        if found is None:
            return None
        return {name: _decode(value) for name, value in found.groupdict().items() if value}


def parse_route(template: str) -> Route:
    """Read a route template.

    Raises:
        ValueError: A segment mixes text and parameters, or has a constraint: this host knows neither.
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
    return "".join(part if part.lower() == "%2f" else unquote(part) for part in re.split(r"(%2[fF])", text))
