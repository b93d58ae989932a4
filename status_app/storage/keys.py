"""Keys that Table Storage accepts, for any device id and any module name.

Characters that a key or a filter cannot hold are written as `~XX`, the upper-case hex of their UTF-8 bytes. Ordinary
names are unchanged. `~` itself is escaped too, so two names never share a key.
"""

import hashlib
import re
from datetime import UTC, datetime
from typing import Final

DEVICE: Final = "device"
MODULE: Final = "module:"
TRANSITION: Final = "transition:"
AFTER_STATE: Final = TRANSITION
"""Row keys of a device's state sort before this one: `device`, then `module:<name>`."""
AFTER_TRANSITIONS: Final = "transition;"

_UNSAFE: Final = re.compile(r"[/\\#?%'~\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ESCAPED: Final = re.compile(r"(?:~[0-9A-F]{2})+")
_KEY_LIMIT: Final = 500
"""UTF-16 units of a key: slightly less than 1 KiB at two bytes each."""
_PART_LIMIT: Final = 400
"""UTF-16 units of a part: enough for any device id, with room for a kind, a time and a number."""
_SHORT: Final = _PART_LIMIT // 2
"""So many characters always fit, even at two units each."""
_HASHED: Final = "~~"
_BEGINNING: Final = _KEY_LIMIT - 70
"""At least this much of a key that is too long stays before its hash."""
_HASHED_KEY: Final = re.compile(rf"(?:[^{_UNSAFE.pattern[1:-1]}]|~[0-9A-F]{{2}})*~~[0-9a-f]{{64}}")
"""Matches the whole key, because names from outside may end like one."""
_LAST: Final = 2**63 - 1


def escape(name: str) -> str:
    """Escape a name for a key. One that is too long keeps its beginning and ends with its hash.

    Such a key replaces the name where the name is not known, and is not escaped again.
    """
    if len(name) <= _SHORT and not _UNSAFE.search(name):
        return name  # as nearly all are
    if _HASHED_KEY.fullmatch(name):
        return name
    kept = name[: _KEY_LIMIT + 1]  # no more of a longer name can stay
    escaped = _UNSAFE.sub(lambda match: "".join(f"~{byte:02X}" for byte in _bytes(match[0])), kept)
    return _shortened(escaped, name, _KEY_LIMIT)


def key_part(name: str) -> str:
    """Escape a name for a part of a key: without the `|` between parts, and the `:` of other tables' keys."""
    return _shortened(escape(name).replace("|", "~7C").replace(":", "~3A"), name, _PART_LIMIT)


def joined(*parts: str) -> str:
    """Join a key from parts, which sorts by the first one. One that is too long ends with its hash."""
    key = "|".join(parts)
    return _shortened(key, key, _KEY_LIMIT)


def time_text(time: datetime) -> str:
    """Format a time so that its text sorts like the time."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def beginning(*parts: str) -> str:
    """Return the prefix of all keys that start with these parts and have more."""
    return "|".join((*parts, ""))[:_BEGINNING]


def unescape(key: str) -> str:
    """Return the name behind a key, or the key itself if the name was too long."""
    if _HASHED_KEY.fullmatch(key):
        return key
    return _ESCAPED.sub(lambda match: bytes.fromhex(match[0].replace("~", "")).decode("utf-8", "surrogatepass"), key)


def module_key(name: str) -> str:
    """Return the RowKey of a module."""
    return MODULE + escape(name)


def module_name(row_key: str) -> str:
    """Return the module of a RowKey."""
    return unescape(row_key.removeprefix(MODULE))


def transition_key(sequence: int) -> str:
    """Return the RowKey of a transition, inverted so that the newest sorts first."""
    return f"{TRANSITION}{_LAST - sequence:019d}"


def transition_sequence(row_key: str) -> int:
    """Return the sequence number in a transition's RowKey."""
    return _LAST - int(row_key.removeprefix(TRANSITION))


def _shortened(key: str, name: str, limit: int) -> str:
    if len(key) <= _SHORT:
        return key
    units = key.encode("utf-16-le")
    if len(units) <= 2 * limit:
        return key
    digest = hashlib.sha256(_bytes(name)).hexdigest()
    kept = units[: 2 * (limit - len(digest) - len(_HASHED))].decode("utf-16-le", "ignore")
    return re.sub(r"~[0-9A-F]?$", "", kept) + _HASHED + digest


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
