"""What of a twin is secret never leaves the core, also where the agent quotes it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from twins import ASKED, MODULE, STATUS, judged, twin_with

from status_core import GracePolicy, advance
from status_core.secrets import REDACTED, redact

SECRET = "hunter2-correct-horse"
HUB = "systemModules.edgeHub"
LONG = json.dumps({"Env": ["PAD=" + "x" * 500, f"TOKEN={SECRET}"], "HostConfig": {"Binds": [f"/data/{SECRET}:/d"]}})
SPLIT = {"createOptions": LONG[:512], "createOptions01": LONG[512:]}


def credentials(**fields: Any) -> dict[str, Any]:
    return {"runtime": {"settings": {"registryCredentials": {"r": fields}}}}


HIDING_PLACES: dict[str, dict[str, Any]] = {
    "a value of env": {f"{MODULE}.env": {"PASSWORD": {"value": SECRET}}},
    "a desired value of env": {f"{ASKED}.env": {"PASSWORD": {"value": SECRET}}},
    "the env of edgeHub": {f"reported.{HUB}.env": {"PASSWORD": {"value": SECRET}}},
    "a value of env that ends in a new line": {f"{MODULE}.env": {"PASSWORD": {"value": f"{SECRET}\n"}}},
    "a part of a connection string": {
        f"{MODULE}.env": {"HUB": {"value": f"HostName=h.example; SharedAccessKey={SECRET};GatewayHostName=g"}}
    },
    "a line of a key": {f"{MODULE}.env": {"KEY": {"value": f"-----BEGIN-----\r\n{SECRET}\r\n-----END-----"}}},
    "an odd env": {f"{MODULE}.env": [[{"deep": [SECRET]}]]},
    "createOptions": {f"{MODULE}.settings.createOptions": json.dumps({"Env": [f"TOKEN={SECRET}"]})},
    "createOptions in parts": {f"{MODULE}.settings": {"image": "m1", **SPLIT}},
    "createOptions of the desired edgeHub": {f"desired.{HUB}.settings.createOptions": json.dumps({"User": SECRET})},
    "createOptions that are an object": {f"{MODULE}.settings.createOptions": {"Env": [f"TOKEN={SECRET}"]}},
    "createOptions that are no JSON": {f"{MODULE}.settings.createOptions": SECRET},
    "createOptions that are JSON but for the end": {f"{ASKED}.settings.createOptions": f'{{"Env": ["TOKEN={SECRET}"]'},
    "the env in a label of edgeAgent's createOptions": {
        "reported.systemModules.edgeAgent.settings.createOptions": json.dumps(
            {"Labels": {"net.azure-devices.edge.env": json.dumps({"PASSWORD": {"value": SECRET}})}}
        )
    },
    "registry credentials that are a text": {"desired.runtime": {"settings": {"registryCredentials": {"r": SECRET}}}},
    "registry credentials in an array": {
        "reported.runtime": {"settings": {"registryCredentials": [{"address": "r.example", "password": SECRET}]}}
    },
    "modules in an array": {"desired.modules": [{"name": "m1", "env": {"PASSWORD": {"value": SECRET}}}]},
    "registry credentials": {
        f"reported.{key}": value for key, value in credentials(address="r.example", password=SECRET).items()
    },
    "desired registry credentials": {
        f"desired.{key}": value for key, value in credentials(username="puller", password=SECRET).items()
    },
}


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_no_secret_is_in_a_status_record_or_transition_though_the_agent_quotes_it(place: str) -> None:
    description = f"Error calling create module m1: bad value '{SECRET}' of {SECRET}"
    for code in (500, 406, 400, 418):
        status = judged({**HIDING_PLACES[place], f"{STATUS}.code": code, f"{STATUS}.description": description})
        record, transitions = advance(None, status, datetime(2026, 1, 2, tzinfo=UTC), GracePolicy())
        seen = json.dumps(status.as_json()) + repr(status) + repr(record) + repr(transitions)
        assert SECRET not in seen
        assert REDACTED in status.message


def test_a_secret_at_the_cut_of_a_long_message_leaves_no_part() -> None:
    hidden = {f"{MODULE}.env": {"PASSWORD": {"value": SECRET}}, f"{STATUS}.code": 500}
    for padding in range(900, 1024, 3):
        message = judged({**hidden, f"{STATUS}.description": "." * padding + SECRET}).message
        assert SECRET[:4] not in message


def test_a_secret_that_holds_a_shorter_one_is_taken_out_whole() -> None:
    twin = twin_with({f"{MODULE}.env": {"A": {"value": "pass"}, "B": {"value": "passphrase"}}})
    assert redact("the passphrase and the pass", twin) == f"the {REDACTED} and the {REDACTED}"


def test_short_values_and_truth_values_blank_no_ordinary_words() -> None:
    twin = twin_with({f"{MODULE}.env": {"A": {"value": "on"}, "B": {"value": 1}, "C": {"value": True}, "D": {}}})
    assert redact("True: module 1 is on", twin) == "True: module 1 is on"


def test_a_secret_is_taken_out_as_json_writes_it_too() -> None:
    secret = 'a "quoted" \\ pass'
    twin = twin_with({f"{MODULE}.env": {"PASSWORD": {"value": secret}}})
    assert redact(f"bad request: {json.dumps({'value': secret})}", twin) == f'bad request: {{"value": "{REDACTED}"}}'


def test_a_secret_number_is_taken_out() -> None:
    twin = twin_with({f"{MODULE}.env": {"PIN": {"value": 48151623}, "RATE": {"value": 0.125}}})
    assert redact("PIN 48151623 at 0.125", twin) == f"PIN {REDACTED} at {REDACTED}"


def test_the_address_of_a_registry_is_no_secret_nor_a_user_who_is_named_like_it() -> None:
    twin = twin_with()
    twin["properties"]["reported"] |= credentials(address="fleet.example", username="fleet", password=SECRET)
    assert redact(f"fleet.example refused {SECRET}", twin) == f"fleet.example refused {REDACTED}"
    twin["properties"]["reported"] |= credentials(address="fleet.example", username="operator", password=SECRET)
    assert redact("fleet.example refused operator", twin) == f"fleet.example refused {REDACTED}"


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(10**10_000, id="ten thousand digits"),
        pytest.param(nested(5000), id="nested 5,000 deep"),
        pytest.param("[" * 100_000, id="text nested 100,000 deep"),
        pytest.param("1" * 10_000, id="text of ten thousand digits"),
        pytest.param(float("nan"), id="not a number"),
        pytest.param("\ud800", id="half a character"),
        pytest.param(None, id="null"),
    ],
)
def test_odd_values_where_secrets_stand_stop_nothing(odd: Any) -> None:
    changes = {f"{MODULE}.env": {"A": {"value": odd}}, f"{MODULE}.settings.createOptions": odd}
    twin = twin_with({**changes, f"{ASKED}.env": odd})
    twin["properties"]["reported"] |= credentials(address=odd, username=odd, password=odd)
    twin["properties"]["desired"]["runtime"] = {"settings": {"registryCredentials": {"r": odd}}}
    assert redact("nothing of it", twin) == "nothing of it"
