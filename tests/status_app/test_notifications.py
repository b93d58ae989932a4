"""What an event is about: which device, which version, and which events are no twin change of $edgeAgent."""

import json
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest

from status_app.errors import BadEventError
from status_app.ingest.event_batch import IncomingEvent
from status_app.ingest.notifications import Notification, OtherEvent, read_notification

TWIN_CHANGE = {
    "iothub-message-schema": "twinChangeNotification",
    "opType": "updateTwin",
    "deviceId": "edge-1",
    "moduleId": "$edgeAgent",
}
LIFECYCLE = {
    "iothub-message-schema": "deviceLifecycleNotification",
    "opType": "deleteDeviceIdentity",
    "deviceId": "edge-1",
}
SECRET = "hunter2-correct-horse"


def read(
    properties: dict[str, Any], body: Any = None, *, system: dict[str, Any] | None = None, raw: bytes | None = None
) -> Notification | OtherEvent:
    """Read an event; a property that is None is left out."""
    return read_notification(
        IncomingEvent(
            body=json.dumps({} if body is None else body).encode() if raw is None else raw,
            properties={name: value for name, value in properties.items() if value is not None},
            system_properties=system or {},
            partition_id="0",
            sequence_number=1,
            enqueued_time=None,
        )
    )


def reason(properties: dict[str, Any], body: Any = None, *, raw: bytes | None = None) -> str:
    """Why an event can never be processed."""
    with pytest.raises(BadEventError) as raised:
        read(properties, body, raw=raw)
    return raised.value.reason


@pytest.mark.parametrize("operation", ["updateTwin", "replaceTwin"])
def test_a_twin_change_names_its_device_the_version_and_the_time(operation: str) -> None:
    properties = TWIN_CHANGE | {"opType": operation, "operationTimestamp": "2024-05-02T09:00:00.1234567Z"}
    time = datetime(2024, 5, 2, 9, 0, 0, 123456, tzinfo=UTC)
    assert read(properties, {"version": 7}) == Notification("edge-1", version=7, time=time, demands=7)


@pytest.mark.parametrize("time", ["noon", "", "0001-01-01T00:00:00Z", 5, None])
def test_a_wrong_time_is_unknown(time: Any) -> None:
    assert read(TWIN_CHANGE | {"operationTimestamp": time}) == Notification("edge-1")


@pytest.mark.parametrize("version", [True, 7.0, "7", None, [7], {}])
def test_only_a_whole_number_is_a_version(version: Any) -> None:
    assert read(TWIN_CHANGE, {"version": version}) == Notification("edge-1", version=None)


@pytest.mark.parametrize(
    ("raw", "version"),
    [
        (b'{"version": 1, "version": 7}', 7),
        (b'{"version": NaN}', None),
        (b'{"version": -Infinity}', None),
        (b'{"version": 1e999}', None),
        (b'{"version": ' + b"9" * 4000 + b"}", 10**4000 - 1),
        (b'{"version": 7, "properties": ' + b"[" * 5000 + b"]" * 5000 + b"}", 7),
        (b'{"version": 7, "x": "' + b"x" * 3_000_000 + b'"}', 7),
    ],
    ids=["a key twice", "NaN", "infinity", "too large", "4,000 digits", "nested", "megabytes"],
)
def test_the_version_is_read_from_odd_json(raw: bytes, version: int | None) -> None:
    assert read(TWIN_CHANGE, raw=raw) == Notification("edge-1", version=version, demands=version)


@pytest.mark.parametrize(
    "value", ["x" * 1_000_000, "\r\n\x1b[2J", "\ud800", [["x"] * 100_000], {"a": "b" * 9999}, 10**400]
)
@pytest.mark.parametrize("name", ["iothub-message-schema", "opType"])
def test_an_error_names_a_property_in_one_short_line(name: str, value: Any) -> None:
    with pytest.raises(BadEventError) as raised:
        read(TWIN_CHANGE | {name: value})
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("schema", "operation", "module"),
    [
        ("deviceLifecycleNotification", "createDeviceIdentity", None),
        ("deviceLifecycleNotification", "deleteDeviceIdentity", None),
        ("moduleLifecycleNotification", "createModuleIdentity", "$edgeAgent"),
        ("moduleLifecycleNotification", "deleteModuleIdentity", "$edgeAgent"),
    ],
)
def test_a_lifecycle_event_has_no_version_since_it_holds_another_twin(
    schema: str, operation: str, module: str | None
) -> None:
    properties = LIFECYCLE | {"iothub-message-schema": schema, "opType": operation, "moduleId": module}
    demands = 1 if operation.startswith("create") else None
    assert read(properties, {"version": 7}) == Notification("edge-1", lifecycle=True, demands=demands)


@pytest.mark.parametrize(
    ("operation", "lifecycle"),
    [("updateTwin", False), ("replaceTwin", False), ("createDeviceIdentity", True), ("deleteModuleIdentity", True)],
)
def test_an_event_without_a_schema_is_recognized_by_its_operation(operation: str, lifecycle: bool) -> None:
    properties = TWIN_CHANGE | {"iothub-message-schema": None, "opType": operation}
    demands = 1 if operation.startswith("create") else None
    assert read(properties) == Notification("edge-1", lifecycle=lifecycle, demands=demands)


@pytest.mark.parametrize(
    ("schema", "operation", "expected"),
    [
        (None, None, "unknown_schema"),
        (None, "deleteTwin", "unknown_schema"),
        ("", "", "unknown_schema"),
        ("telemetry", "updateTwin", "unknown_schema"),
        (5, "updateTwin", "unknown_schema"),
        ("twinChangeNotification", None, "unknown_operation"),
        ("twinChangeNotification", "deleteDeviceIdentity", "unknown_operation"),
        ("deviceLifecycleNotification", "updateTwin", "unknown_operation"),
        ("twinChangeNotification", {"a": 1}, "unknown_operation"),
        ([1], {"a": 1}, "unknown_schema"),
    ],
)
def test_an_event_that_no_route_of_twin_changes_sends_is_refused_for_its_schema_or_operation(
    schema: Any, operation: Any, expected: str
) -> None:
    assert reason(TWIN_CHANGE | {"iothub-message-schema": schema, "opType": operation}) == expected


def test_ids_are_taken_from_the_properties_then_the_system_properties_then_the_body() -> None:
    system = {"connection-device-id": "second", "connection-module-id": "$edgeAgent"}
    body = {"deviceId": "third", "moduleId": "$edgeAgent"}
    bare = TWIN_CHANGE | {"deviceId": None, "moduleId": None}
    assert read(TWIN_CHANGE, body, system=system) == Notification("edge-1")
    assert read(bare, body, system=system) == Notification("second")
    assert read(bare, body) == Notification("third")


def test_the_module_of_the_properties_goes_before_that_of_the_connection() -> None:
    assert read(TWIN_CHANGE, system={"connection-module-id": "other"}) == Notification("edge-1")
    assert (
        read(TWIN_CHANGE | {"moduleId": "other"}, system={"connection-module-id": "$edgeAgent"})
        is OtherEvent.OTHER_MODULE
    )


@pytest.mark.parametrize(
    ("module", "other"),
    [
        ("$edgeHub", OtherEvent.OTHER_MODULE),
        ("m1", OtherEvent.OTHER_MODULE),
        (None, OtherEvent.DEVICE_TWIN),
        ("", OtherEvent.DEVICE_TWIN),
    ],
)
def test_the_twin_of_another_module_or_of_the_device_itself_is_ignored(module: str | None, other: OtherEvent) -> None:
    assert read(TWIN_CHANGE | {"moduleId": module}) is other
    assert read(TWIN_CHANGE | {"moduleId": module}, raw=b"no body is read") is other


def test_the_twin_of_another_module_is_ignored_where_only_the_body_names_the_device() -> None:
    bare = TWIN_CHANGE | {"deviceId": None, "moduleId": None}
    assert read(bare, {"deviceId": "edge-1", "moduleId": "$edgeHub"}) is OtherEvent.OTHER_MODULE
    assert read(bare, {"deviceId": "edge-1"}) is OtherEvent.DEVICE_TWIN


def test_the_lifecycle_of_another_module_is_ignored() -> None:
    properties = LIFECYCLE | {"iothub-message-schema": "moduleLifecycleNotification", "opType": "deleteModuleIdentity"}
    assert read(properties | {"moduleId": "m1"}) is OtherEvent.OTHER_MODULE


@pytest.mark.parametrize(
    ("source", "other"),
    [
        ("Telemetry", OtherEvent.TELEMETRY),
        ("deviceMessages", OtherEvent.TELEMETRY),
        ("MqttBrokerMessages", OtherEvent.TELEMETRY),
        ("deviceConnectionStateEvents", OtherEvent.CONNECTION_STATE),
        ("deviceJobLifecycleEvents", OtherEvent.JOB),
        ("digitalTwinChangeEvents", OtherEvent.DIGITAL_TWIN),
    ],
)
def test_an_event_of_another_source_is_recognized_by_the_source_alone(source: str, other: OtherEvent) -> None:
    system = {"message-source": source, "connection-device-id": "edge-1"}
    assert read({}, system=system, raw=b"\xff any bytes") is other
    assert read(TWIN_CHANGE, system=system) is other
    assert read(TWIN_CHANGE | {"iothub-message-schema": "a schema of the device's own"}, system=system) is other


@pytest.mark.parametrize(
    ("schema", "operation", "other"),
    [
        ("deviceConnectionStateNotification", "deviceDisconnected", OtherEvent.CONNECTION_STATE),
        ("deviceConnectionStateNotification", None, OtherEvent.CONNECTION_STATE),
        (None, "moduleConnected", OtherEvent.CONNECTION_STATE),
        ("deviceJobLifecycleNotification", "scheduled", OtherEvent.JOB),
        ("digitalTwinChangeNotification", "updateTwin", OtherEvent.DIGITAL_TWIN),
    ],
)
def test_an_event_without_a_source_is_recognized_by_its_schema_or_operation(
    schema: str | None, operation: str | None, other: OtherEvent
) -> None:
    properties = {"iothub-message-schema": schema, "opType": operation, "deviceId": "edge-1"}
    assert read(properties, raw=b'[{"op": "replace"}]') is other


@pytest.mark.parametrize("name", ["connection-auth-method", "connection-auth-generation-id"])
def test_an_event_of_a_connection_without_a_schema_is_telemetry(name: str) -> None:
    system = {name: "{}", "connection-device-id": "edge-1"}
    assert read({"unit": "C"}, system=system, raw=b"21.5") is OtherEvent.TELEMETRY
    assert read(TWIN_CHANGE, system=system) == Notification("edge-1")


@pytest.mark.parametrize("source", ["twinChangeEvents", "deviceLifecycleEvents", "another", "", 5, None, ["Telemetry"]])
def test_with_any_other_source_the_schema_decides(source: Any) -> None:
    assert read(TWIN_CHANGE, system={"message-source": source}) == Notification("edge-1")


@pytest.mark.parametrize("device", [None, "", 5, ["edge-1"], {}])
def test_an_event_without_a_device_is_refused(device: Any) -> None:
    assert reason(TWIN_CHANGE | {"deviceId": None}, {"deviceId": device}) == "no_device_id"
    assert reason(LIFECYCLE | {"deviceId": None}, {"deviceId": device}) == "no_device_id"


def test_a_device_id_can_be_as_long_as_the_hub_allows() -> None:
    assert read(TWIN_CHANGE | {"deviceId": "x" * 128}) == Notification("x" * 128)
    assert reason(TWIN_CHANGE | {"deviceId": "x" * 129}) == "device_id_too_long"


@pytest.mark.parametrize("device_id", [".", ".."])
def test_a_device_that_no_request_can_name_is_refused_by_its_name(device_id: str) -> None:
    assert reason(TWIN_CHANGE | {"deviceId": device_id}) == "device_id_unaddressable"


def test_a_byte_order_mark_is_no_part_of_a_body() -> None:
    assert read(TWIN_CHANGE, raw=b'\xef\xbb\xbf{"version": 7}') == Notification("edge-1", version=7, demands=7)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "empty_body"),
        (b" \n", "empty_body"),
        (b"{", "not_json"),
        (b'{"a": 1} more', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"version": ' + b"9" * 5000 + b"}", "not_json"),
        (b'{"a": "\xff"}', "not_utf8"),
        ('{"a": 1}'.encode("utf-16"), "not_utf8"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:20]),
)
def test_a_body_that_cannot_be_read_is_refused_with_the_reason(raw: bytes, expected: str) -> None:
    assert reason(TWIN_CHANGE, raw=raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        f'{{"password": "{SECRET}"'.encode(),
        f"{SECRET}".encode(),
        f'"{SECRET}"'.encode(),
        f'["{SECRET}"]'.encode(),
        f'{{"password": "{SECRET}\xff"}}'.encode("latin-1"),
        f'{{"password": "{SECRET}"}}'.encode("utf-16"),
        f'{{"{SECRET}": {"9" * 5000}}}'.encode(),
        f'{{"deviceId": ["{SECRET}"]}}'.encode(),
    ],
)
def test_no_error_quotes_the_body(raw: bytes) -> None:
    with pytest.raises(BadEventError) as raised:
        read(TWIN_CHANGE | {"deviceId": None}, raw=raw)
    assert SECRET not in "".join(traceback.format_exception(raised.value))
