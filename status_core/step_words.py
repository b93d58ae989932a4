"""Maps the words of a failed step to its cause, no matter who wrote them: edged, Docker, or a registry.

Every entry is literal text in lower case. Sources: edgelet's error.rs at 1.0.9 to 1.5, the agent's
ModuleManagementHttpClient.cs, and the words of moby, containerd and registries quoted in issues of Azure/iotedge.
"""

import re
from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

from status_core.reasons import Reason


class Operation(Enum):
    """What the agent was doing when a step failed."""

    PULL = auto()
    """It pulls an image, alone or before it creates a container."""
    CREATE = auto()
    """It creates a container."""
    UPDATE = auto()
    """It replaces a container."""
    START = auto()
    """It starts a container."""
    STOP = auto()
    """It stops or removes a container."""
    OTHER = auto()
    """The text does not say."""


_OPERATIONS: Final[tuple[tuple[Operation, tuple[str, ...]], ...]] = (
    (Operation.OTHER, ("calling create identity", "calling update identity", "calling delete identity")),
    (
        Operation.PULL,
        (
            "pull image",
            "prepare update",
            "pull access denied",
            "manifest unknown",
            "manifest for",
            "executionprerequisite",
            "prepareforupdate",
            "docker api responded with status code=notfound, image=",
            "docker api responded with status code=internalservererror, image=",
        ),
    ),
    (Operation.UPDATE, ("calling update",)),
    (Operation.CREATE, ("calling create module",)),
    (Operation.START, ("calling start module", "calling restart module")),
    (Operation.STOP, ("calling stop module", "calling remove module", "calling delete module")),
    (Operation.UPDATE, ("update module",)),
    (Operation.CREATE, ("create module",)),
    (Operation.START, ("start module", "restart module")),
    (Operation.STOP, ("stop module", "remove module", "delete module")),
)
"""Outermost words first: a start may fail because of something inside it, such as a removal."""

_BY_OPERATION: Final = {
    Operation.PULL: Reason.PULL_FAILED,
    Operation.CREATE: Reason.CREATE_FAILED,
    Operation.UPDATE: Reason.UPDATE_FAILED,
    Operation.START: Reason.START_FAILED,
    Operation.STOP: Reason.STOP_FAILED,
}

_TIMED_OUT: Final = ("cancel", "timeout", "time-out", "timed out", "deadline exceeded")
_WRONG_PLATFORM: Final = (
    "no matching manifest",
    "no match for platform",
    "for architecture",
    "does not match the specified platform",
    "does not match the detected host platform",
    "operating system is not supported",
    "cannot be used on this platform",
    "container operating system does not match",
    "is incompatible with a",
    "exec format error",
)
_OF_A_PROXY: Final = re.compile(
    r"""\b(?:get|head) (?:"": | )(?!no basic|unauthorized|denied|context)[a-z]+(?: [a-z]+){0,5}(?:[\s.)]*$| \()"""
)
"""A request that ends in bare words once its address is removed: a proxy refused it. A registry, or Go, says more."""
_NO_IMAGE: Final = ("no such image",)
_ANYWHERE: Final[tuple[tuple[Reason, tuple[str, ...]], ...]] = (
    (Reason.STATUS_UNREADABLE, ("is not a valid status",)),
    (
        Reason.RUNTIME_UNREACHABLE,
        (
            "list modules",
            "cannot connect to the docker daemon",
            "error trying to connect",
            "docker.sock: connect",
            "containerd.sock",
            "transport is closing",
        ),
    ),
    (Reason.RUNTIME_BUSY, ("could not acquire permit",)),
    (
        Reason.DISK_FULL,
        (
            "no space left on device",
            "not enough space on the disk",
            "disk quota exceeded",
            "not enough disk space",
            "disk is full",
            "nicht genug speicherplatz",
            "espace insuffisant sur le disque",
            "espacio en disco insuficiente",
            "thin pool has",
        ),
    ),
)
_OF_A_PULL: Final[tuple[tuple[Reason, tuple[str, ...]], ...]] = (
    (Reason.WRONG_PLATFORM, _WRONG_PLATFORM),
    (
        Reason.REGISTRY_UNREACHABLE,
        (
            "dial tcp",
            "dial udp",
            "no such host",
            "host not found",
            "server misbehaving",
            "name resolution",
            "could not resolve",
            "connection refused",
            "connection reset",
            "network is unreachable",
            "no route to host",
            "i/o timeout",
            "read tcp",
            "write tcp",
            "use of closed network connection",
            "stream error",
            "goaway",
            "tls handshake",
            "tls:",
            "client.timeout exceeded",
            "context deadline exceeded",
            "waiting for connection",
            "x509",
            "certificate",
            "proxyconnect",
            "proxy authentication",
            "status: 407",
            "http 407",
            "http 408",
            "error parsing http 5",
            "malformed http response",
            "connection lost",
            "http response to https client",
            "bad gateway",
            "gateway timeout",
            "gateway time-out",
            "service unavailable",
            "http status: 5",
            "unexpected eof",
            ": eof",
        ),
    ),
    (
        Reason.REGISTRY_REFUSED,
        (
            "unauthorized",
            "access denied",
            "denied:",
            ": denied",
            "is denied",
            "not allowed access",
            "not have permission",
            "forbidden",
            "authentication required",
            "authentication is required",
            "authorization failed",
            "basic auth credentials",
            "incorrect username or password",
            "docker login",
            "token has expired",
            "insufficient_scope",
            "http 401",
            "http 403",
            "status: 401",
            "status: 403",
            "status: 429",
            "http 429",
            "toomanyrequests",
            "too many requests",
            "rate limit",
        ),
    ),
    (
        Reason.IMAGE_NOT_FOUND,
        (
            "not found",
            "manifest unknown",
            "name unknown",
            "unknown manifest",
            "no such manifest",
            "name not known",
            "does not exist",
            "invalid reference format",
            "invalid repository name",
            "repository name must",
            "invalid tag",
            "invalid digest",
            "invalid checksum digest",
            "did not resolve to an alias",
            "code=notfound",
            "status: 404",
            "http 404",
            *_NO_IMAGE,
        ),
    ),
    (Reason.REGISTRY_UNREACHABLE, ("unexpected status", "unexpected http status")),
    (Reason.PULL_TIMED_OUT, _TIMED_OUT),
)
_OF_A_CONTAINER: Final[tuple[tuple[Reason, tuple[str, ...]], ...]] = (
    (Reason.WRONG_PLATFORM, _WRONG_PLATFORM),
    (Reason.IMAGE_NOT_FOUND, _NO_IMAGE),
    (Reason.UPDATE_FAILED, ("is already in use by container", "name is already in use", "container with id exists")),
    (
        Reason.NETWORK_CONFLICT,
        (
            "already exists in network",
            "endpoint with name",
            "container networking: address already in use",
            "pool overlaps",
            "non-overlapping",
            "network with name",
            "no available ipv4 addresses",
        ),
    ),
    (
        Reason.PORT_TAKEN,
        (
            "port is already allocated",
            "address already in use",
            "ports are not available",
            "only one usage of each socket address",
            "normalerweise darf jede socketadresse",
            "une seule utilisation de chaque adresse de socket",
            "un uso de cada dirección de socket",
            "access a socket in a way forbidden",
            "failed to bind host port",
            "failed to bind port",
            "eaddrinuse",
            "the specified port already exists",
            "(0x803b0013)",
            "hnscall failed in win32: the process cannot access the file",
        ),
    ),
    (
        Reason.MOUNT_INVALID,
        (
            "mount",
            "bind source path",
            "source path must be a directory",
            "statfs ",
            "invalid mode",
            "invalid bind",
            "invalid volume",
            "no such volume",
            "volume name",
            "volume plugin",
            "not a directory",
        ),
    ),
)
_NO_MOUNT: Final = (
    "cgroup",
    "unmount",
    "umount",
    "devmapper",
    "mount overlay",
    "overlay mount",
    "containerd-mount",
    "nvidia-container",
    'mounting "proc"',
    'mounting "sysfs"',
)
"""The container engine's own mounts, and unmounts."""

_IDENTITY: Final = ("identity", "identities")
_OF_THE_SOCKET: Final = (
    "mgmt.sock",
    "connection refused",
    "actively refused",
    "connection reset by peer",
    "broken pipe",
    "resource temporarily unavailable",
    "cannot assign requested address",
    "occurred while sending the request",
    "copying content to a stream",
    "system info",
)
"""If no operation is named, this is the agent's own connection to edged."""
_BY_WORDS: Final = {
    Operation.PULL: (*_ANYWHERE, *_OF_A_PULL),
    Operation.CREATE: (*_ANYWHERE, *_OF_A_CONTAINER),
    Operation.UPDATE: (*_ANYWHERE, *_OF_A_CONTAINER),
    Operation.START: (*_ANYWHERE, *_OF_A_CONTAINER),
    Operation.STOP: _ANYWHERE,
    Operation.OTHER: _ANYWHERE,
}


def operation(words: str) -> Operation:
    """Return what the agent was doing, from the words of one step in lower case and without names."""
    doing = next((found for found, phrases in _OPERATIONS if _holds(words, phrases)), Operation.OTHER)
    # An update stops, removes and creates a container. Its words name the last of these.
    return Operation.CREATE if doing is Operation.UPDATE and "create module" in words else doing


def step_reason(words: str, doing: Operation, *, image_outstanding: bool) -> Reason:
    """Return why a step failed: by its innermost known words, else by what the agent was doing.

    Args:
        words: The text of one step, in lower case and without names.
        doing: What the agent was doing.
        image_outstanding: A desired image is not on the device. "The request was canceled" then means that a pull
            continues ("if the pull was timed out ... this state is probably transitional").
    """
    reason = _said(words, doing)
    if reason is not None:
        return reason
    if doing is not Operation.OTHER:
        return _BY_OPERATION[doing]
    if _holds(words, _IDENTITY):
        return Reason.IDENTITY_FAILED
    if _holds(words, _OF_THE_SOCKET):
        return Reason.RUNTIME_UNREACHABLE
    if _holds(words, _TIMED_OUT):
        return Reason.PULL_TIMED_OUT if image_outstanding else Reason.STEP_TIMED_OUT
    return Reason.PLAN_FAILED


def _said(words: str, doing: Operation) -> Reason | None:
    """The reason that the innermost words give which give one."""
    for segment in reversed(words.split("caused by:")):
        if doing is Operation.PULL and _OF_A_PROXY.search(segment):
            return Reason.REGISTRY_UNREACHABLE
        for reason, phrases in _BY_WORDS[doing]:
            if _holds(segment, phrases) and not (reason is Reason.MOUNT_INVALID and _holds(segment, _NO_MOUNT)):
                return reason
    return None


def _holds(words: str, phrases: Iterable[str]) -> bool:
    return any(phrase in words for phrase in phrases)
