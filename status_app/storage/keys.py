"""Keys that Table Storage can hold, for any device id and any module name.

What a key or a filter cannot hold is written `~XX`, the upper-case hex of its UTF-8 bytes; ordinary names stand as
they are. `~` is written so too: two names never share a key.
"""

import hashlib
import re
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
"""UTF-16 units of a key: 1 KiB at two bytes each, and a few fewer."""
_PART_LIMIT: Final = 400
"""UTF-16 units of a part: whatever IoT Hub calls a device fits, and room for a kind, a time and a number is left."""
_SHORT: Final = _PART_LIMIT // 2
"""Characters of two units each that fit in any case."""
_HASHED: Final = "~~"
_BEGINNING: Final = _KEY_LIMIT - 70
"""Of a key that is too long so much stays before its hash, and a few more."""
_HASHED_KEY: Final = re.compile(rf"(?:[^{_UNSAFE.pattern[1:-1]}]|~[0-9A-F]{{2}})*~~[0-9a-f]{{64}}")
"""Nothing that only ends like one: what comes from outside may."""
_LAST: Final = 2**63 - 1


def escape(name: str) -> str:
    """A name as part of a key. One that is too long keeps its beginning and ends with its hash.

    Such a key stands for its name wherever that is not known, and is not escaped again.
    """
    if len(name) <= _SHORT and not _UNSAFE.search(name):
        return name  # as nearly all are
    if _HASHED_KEY.fullmatch(name):
        return name
    kept = name[: _KEY_LIMIT + 1]  # of a name that is longer no more than this can stay
    escaped = _UNSAFE.sub(lambda match: "".join(f"~{byte:02X}" for byte in _bytes(match[0])), kept)
    return _shortened(escaped, name, _KEY_LIMIT)


def key_part(name: str) -> str:
    """A name as a part of a key: without the `|` that sets its parts apart, and the `:` of other tables' keys."""
    return _shortened(escape(name).replace("|", "~7C").replace(":", "~3A"), name, _PART_LIMIT)


def joined(*parts: str) -> str:
    """A key of several parts, in the order of the first of them. One that is too long ends with its hash."""
    key = "|".join(parts)
    return _shortened(key, key, _KEY_LIMIT)


def beginning(*parts: str) -> str:
    """With what every key of more parts than these begins."""
    return "|".join((*parts, ""))[:_BEGINNING]


def unescape(key: str) -> str:
    """The name that a key was made of; of one that was too long, the key itself."""
    if _HASHED_KEY.fullmatch(key):
        return key
    return _ESCAPED.sub(lambda match: bytes.fromhex(match[0].replace("~", "")).decode("utf-8", "surrogatepass"), key)


def module_key(name: str) -> str:
    """RowKey of a module."""
    return MODULE + escape(name)


def module_name(row_key: str) -> str:
    """The module of a RowKey."""
    return unescape(row_key.removeprefix(MODULE))


def transition_key(sequence: int) -> str:
    """RowKey of a transition: inverted, so that the newest comes first."""
    return f"{TRANSITION}{_LAST - sequence:019d}"


def transition_sequence(row_key: str) -> int:
    """The sequence number in a transition's RowKey."""
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
