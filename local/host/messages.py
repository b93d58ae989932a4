"""The messages between the functions host and the worker library, as plain classes.

In Azure these are the protobuf messages of `FunctionRpc.proto`. The worker library accepts any object with their
names, so this module replaces the generated one: it is passed as `protos`. Unset fields are None, and `WhichOneof`
returns the name of the one that is set.
"""

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionBytes:
    """Several byte strings, such as the bodies of a batch."""

    bytes: Sequence[builtins.bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionString:
    """Several strings."""

    string: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionSInt64:
    """Several integers."""

    sint64: Sequence[builtins.int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedData:
    """One value; exactly one field is set, or none at all.

    The library checks it for an attribute `TypedData`. An AttributeError means "this is the value itself".
    """

    string: str | None = None
    json: str | None = None
    bytes: builtins.bytes | None = None
    int: builtins.int | None = None
    double: float | None = None
    http: "RpcHttp | None" = None
    collection_bytes: CollectionBytes | None = None
    collection_string: CollectionString | None = None
    collection_sint64: CollectionSInt64 | None = None

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - protobuf's name
        """Return the name of the field that is set, or None."""
        return next((name for name in self.__slots__ if getattr(self, name) is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcHttp:
    """An HTTP request on the way in, an HTTP response on the way out."""

    method: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: TypedData = field(default_factory=TypedData)
    status_code: str = ""
    cookies: Sequence[Any] | None = None
    enable_content_negotiation: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterBinding:
    """The value of one parameter of a function."""

    name: str
    data: TypedData

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - protobuf's name
        """Return that values are inline: this host shares no memory with the library."""
        return "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingInfo:
    """A binding as the worker describes it."""

    # Numbered as in FunctionRpc.proto and azure.functions.
    out: ClassVar = 1
    inout: ClassVar = 2

    type: str
    data_type: int | None
    direction: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcException:
    """An exception of an invocation or of loading an app."""

    message: str = ""
    stack_trace: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusResult:
    """Whether the worker's operation succeeded."""

    # Names and numbers are those of FunctionRpc.proto.
    Failure: ClassVar = 0
    Success: ClassVar = 1

    status: int
    exception: RpcException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcRetryOptions:
    """The retry policy of a function."""

    max_retry_count: int
    retry_strategy: str
    delay_interval: timedelta | None = None
    minimum_interval: timedelta | None = None
    maximum_interval: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcFunctionMetadata:
    """A function that the worker found in the app; `raw_bindings` holds the bindings as JSON objects."""

    name: str
    function_id: str
    raw_bindings: Sequence[str]
    retry_options: RpcRetryOptions | None
    bindings: Mapping[str, BindingInfo]
    directory: str
    script_file: str
    entry_point: str
    language: str
    managed_dependency_enabled: bool
    is_proxy: bool
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerMetadata:
    """Information about the worker."""

    runtime_name: str
    runtime_version: str
    worker_version: str
    worker_bitness: str
    custom_properties: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInitRequest:
    """Asks the worker to index the app in a directory."""

    function_app_directory: str
    capabilities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInitResponse:
    """The answer to WorkerInitRequest."""

    capabilities: Mapping[str, str]
    worker_metadata: WorkerMetadata
    result: StatusResult


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionMetadataResponse:
    """The functions of the app; None if there is no `function_app.py`."""

    use_default_metadata_indexing: bool
    function_metadata_results: Sequence[RpcFunctionMetadata] | None
    result: StatusResult


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionLoadRequest:
    """Asks the worker to load one function."""

    function_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionLoadResponse:
    """The answer to FunctionLoadRequest."""

    function_id: str
    result: StatusResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcTraceContext:
    """W3C trace context; this host traces nothing."""

    trace_parent: str = ""
    trace_state: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryContext:
    """The number of the retry. The first attempt has none, so all zeros."""

    retry_count: int = 0
    max_retry_count: int = 0
    exception: RpcException = field(default_factory=RpcException)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationRequest:
    """Asks the worker to run a function once."""

    invocation_id: str
    function_id: str
    input_data: Sequence[ParameterBinding]
    trigger_metadata: Mapping[str, TypedData]
    retry_context: RetryContext = field(default_factory=RetryContext)
    trace_context: RpcTraceContext = field(default_factory=RpcTraceContext)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationResponse:
    """The outcome of a run."""

    invocation_id: str
    result: StatusResult
    return_value: TypedData | None = None
    output_data: Sequence[ParameterBinding] = ()
