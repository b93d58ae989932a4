"""What of a twin is secret never leaves the core, also where the agent quotes it."""

import json
from itertools import product
from typing import Any

import pytest
from twins import ASKED, MODULE, STATUS, judged, outputs, twin_with

from status_core import evaluate
from status_core.blanking import REDACTED, blank_keys
from status_core.descriptions import DESCRIPTION_LIMIT
from status_core.secrets import MASK, collapse, masked, secret_values

SECRET = "hunter2-correct-horse"
HUB = "systemModules.edgeHub"
LONG = json.dumps({"Env": ["PAD=" + "x" * 500, f"TOKEN={SECRET}"], "HostConfig": {"Binds": [f"/data/{SECRET}:/d"]}})
SPLIT = {"createOptions": LONG[:512], "createOptions01": LONG[512:]}


def redact(description: str, twin: Any) -> str:
    """A description as a status has it."""
    return collapse(masked(description, twin))


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
    "createOptions of another case": {f"{MODULE}.settings.CreateOptions": json.dumps({"Env": [f"TOKEN={SECRET}"]})},
    "createOptions in parts": {f"{MODULE}.settings": {"image": "m1", **SPLIT}},
    "createOptions of the desired edgeHub": {f"desired.{HUB}.settings.createOptions": json.dumps({"User": SECRET})},
    "createOptions that are an object": {f"{MODULE}.settings.createOptions": {"Env": [f"TOKEN={SECRET}"]}},
    "createOptions in an array": {f"{MODULE}.settings.createOptions": [{"Env": [f"TOKEN={SECRET}"]}]},
    "a command line": {f"{ASKED}.settings.createOptions": json.dumps({"Cmd": ["sh", "-c", f"run --token {SECRET}"]})},
    "an option of a command line": {f"{ASKED}.settings.createOptions": json.dumps({"Entrypoint": [f"--key={SECRET}"]})},
    "a label": {f"{ASKED}.settings.createOptions": json.dumps({"Labels": {"key": SECRET}})},
    "a health check": {
        f"{ASKED}.settings.createOptions": json.dumps({"Healthcheck": {"Test": ["CMD", "curl", f"-u {SECRET}"]}})
    },
    "the options of a log driver": {
        f"{ASKED}.settings.createOptions": json.dumps(
            {"HostConfig": {"LogConfig": {"Config": {"splunk-token": SECRET}}}}
        )
    },
    "the options of a volume driver": {
        f"{ASKED}.settings.createOptions": json.dumps(
            {"HostConfig": {"Mounts": [{"VolumeOptions": {"DriverConfig": {"Options": {"o": f"password={SECRET}"}}}}]}}
        )
    },
    "the password of an address": {f"{MODULE}.env": {"DB": {"value": f"postgres://user:{SECRET}@db.example/x"}}},
    "an assignment in a text": {f"{MODULE}.env": {"OPTS": {"value": f"-Xmx1g -Dpassword={SECRET} -Dx=y"}}},
    "JSON in a value of env": {f"{MODULE}.env": {"CONFIG": {"value": json.dumps({"a": [{"password": SECRET}]})}}},
    "a JSON array in a value of env": {f"{MODULE}.env": {"CONFIG": {"value": json.dumps([{"password": SECRET}])}}},
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
        twin = twin_with({**HIDING_PLACES[place], f"{STATUS}.code": code, f"{STATUS}.description": description})
        assert SECRET not in outputs(twin)
        assert REDACTED in evaluate(twin).message


def test_a_masked_text_has_each_place_where_it_was() -> None:
    twin = twin_with({f"{MODULE}.env": {"PASSWORD": {"value": SECRET}}})
    text = f"no {SECRET} and no {SECRET}, but token=abc"
    assert masked(text, twin) == text.replace(SECRET, MASK * len(SECRET)).replace("abc", MASK * 3)


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


def test_a_secret_at_the_cut_of_a_description_leaves_no_part() -> None:
    longest = SECRET + "x" * 2 * DESCRIPTION_LIMIT
    for secret, padding in product((SECRET, longest), range(DESCRIPTION_LIMIT - 30, DESCRIPTION_LIMIT + 30, 7)):
        twin = twin_with({f"{MODULE}.env": {"PASSWORD": {"value": secret}}})
        text = redact("." * padding + secret, twin)
        assert SECRET[:4] not in text
        assert len(text) <= DESCRIPTION_LIMIT + len(REDACTED)


def test_a_key_at_the_cut_of_a_description_leaves_no_part_though_other_keys_make_it_short() -> None:
    key = f" {'A' * 43}="
    text = key * (DESCRIPTION_LIMIT // len(key) + 2)
    assert "AAA" not in redact(text, {})
    assert "AAA" not in judged({f"{STATUS}.code": 500, f"{STATUS}.description": text}).message


@pytest.mark.parametrize("text", ["eyJ-" * 250_000, "a:=" * 300_000, "://a:" * 200_000])
def test_what_nearly_looks_like_keys_is_searched_once(text: str) -> None:
    # A pattern that runs over it again from each place would take an hour.
    assert blank_keys(text) == text


@pytest.mark.parametrize(
    ("value", "quoting", "kept"),
    [
        ("publisher", "pull image r/opc-publisher:latest", "pull image r/opc-publisher:latest"),
        ("pass", "a passphrase, by-pass and pass_1", "a passphrase, by-pass and pass_1"),
        ("pass", "the 'pass', pass. (pass)=pass", "the '***', ***. (***)=***"),
        ("a b", "x a b y", "x a b y"),
        ("ab cd", "x ab cd y ab c", "x *** y ab c"),
        ("ab cd", "x ab cd cd", "x *** cd"),
        ("!!!!", "what!!!!", "what***"),
        ("PASS=the long = one", "it says the long = one", "it says ***"),
        ("error", "Error calling: an error", "Error calling: an error"),
        ("127.0.0.1", "Bind for 127.0.0.1:443 failed", "Bind for 127.0.0.1:443 failed"),
    ],
)
def test_a_secret_is_taken_out_as_a_whole_word(value: str, quoting: str, kept: str) -> None:
    assert redact(quoting, twin_with({f"{MODULE}.env": {"A": {"value": value}}})) == kept


OPEN = {
    "Hostname": "m1",
    "ExposedPorts": {"62222/tcp": {}},
    "NetworkingConfig": {"EndpointsConfig": {"factory-net": {"Aliases": ["line-alias"]}}},
    "HostConfig": {
        "Binds": ["/srv/line-data:/data:ro", "line-volume:/var/lib/line"],
        "Mounts": [{"Type": "volume", "Source": "other-volume", "Target": "/other"}],
        "NetworkMode": "factory-net",
        "PortBindings": {"1883/tcp": [{"HostPort": "18830"}]},
        "RestartPolicy": {"Name": "unless-stopped"},
        "LogConfig": {"Type": "json-file"},
    },
}


@pytest.mark.parametrize(
    "shown",
    ["m1", "62222", "factory-net", "/srv/line-data", "line-volume", "other-volume", "18830", "registry.example", "1.0",
     "registry.example/m1:1.0", "edge-01", "edgeHub", "unless-stopped", "json-file", "line-alias",
     "camera-1"],
)  # fmt: skip
def test_what_the_twin_shows_openly_is_no_secret_though_an_env_has_it_too(shown: str) -> None:
    options = json.dumps({**OPEN, "Env": [f"A={shown}"]})
    twin = twin_with(
        {
            f"{ASKED}.settings.createOptions": options,
            f"{MODULE}.env": {"A": {"value": shown}},
            "desired.modules.camera-1": {},
        }
    )
    assert redact(f"it has {shown}.", twin) == f"it has {shown}."
    assert shown not in secret_values(twin)


def test_the_places_of_the_agents_own_create_options_are_open_too() -> None:
    label = {"net.azure-devices.edge.create-options": json.dumps({**OPEN, "Env": [f"A={SECRET}"]}), "odd": "{"}
    for nested in (json.dumps({"Labels": label}), json.dumps({"Labels": {**label, next(iter(label)): "{"}})):
        twin = twin_with({"reported.systemModules.edgeAgent.settings.createOptions": nested})
        assert "18830" not in secret_values(twin)
    assert SECRET in secret_values(twin_with({"reported.systemModules.edgeAgent.settings.createOptions": json.dumps(
        {"Labels": label})}))  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("HostName=h;SharedAccessKey=abc+/=;x=y", "HostName=h;SharedAccessKey=***;x=y"),
        ("DefaultEndpointsProtocol=https;AccountKey=abc==", "DefaultEndpointsProtocol=https;AccountKey=***"),
        ("https://s.example/c?sv=1&sig=a%3D&se=2", "https://s.example/c?sv=1&sig=***&se=2"),
        ("pull https://user:pass@r.example/v2/", "pull https://user:***@r.example/v2/"),
        ("pull user:pass@r.example/m1:1", "pull user:***@r.example/m1:1"),
        ("--password=abc token=def", "--password=*** token=***"),
        ("Authorization: Bearer abc.def==", "Authorization: Bearer ***"),
        ("authorization: bearer abc.def", "authorization: bearer ***"),
        ("authorization: bEaRer abc.def", "authorization: bEaRer ***"),
        ("AUTHORIZATION: BEARER ABC.DEF", "AUTHORIZATION: BEARER ***"),
        ("eyJhbGci.eyJzdWIi.c2ln end", "*** end"),
        (f"key {'A' * 43}= end", "key *** end"),
        (f"key {'A' * 86}== end", "key *** end"),
        ("r.example:5000/m1:1@sha256:ab m1@sha256:ab", "r.example:5000/m1:1@sha256:ab m1@sha256:ab"),
        ("incorrect username or password", "incorrect username or password"),
        ("fetch oauth token: unexpected status: 401", "fetch oauth token: unexpected status: 401"),
    ],
)
def test_what_looks_like_a_key_is_taken_out_whatever_the_twin_holds(text: str, kept: str) -> None:
    assert redact(text, {}) == kept


def test_what_looks_like_a_key_is_taken_out_wherever_it_stands() -> None:
    image = f"user:{SECRET}@r.example/m1:1"
    places = {f"{ASKED}.settings.image": image, f"{MODULE}.settings.image": f"r/m1?sig={SECRET}"}
    odd = {f"{MODULE}.runtimeStatus": f"Bearer {SECRET}", f"{STATUS}.code": f"SharedAccessKey={SECRET}"}
    for changes in (places, {**places, **odd}, {**places, f"{STATUS}.code": 400}):
        assert SECRET not in outputs(twin_with(changes))


def test_a_secret_is_taken_out_as_json_writes_it_too() -> None:
    secret = 'a "quoted" \\ p\u00e4ss'
    twin = twin_with({f"{MODULE}.env": {"PASSWORD": {"value": secret}}})
    assert (
        redact(f"bad request: {json.dumps({'value': secret}, ensure_ascii=False)}", twin)
        == f'bad request: {{"value": "{REDACTED}"}}'
    )


def test_a_secret_number_is_taken_out() -> None:
    twin = twin_with({f"{MODULE}.env": {"PIN": {"value": 48151623}, "RATE": {"value": 0.125}}})
    assert redact("PIN 48151623 at 0.125", twin) == f"PIN {REDACTED} at {REDACTED}"


def test_the_address_of_a_registry_is_no_secret_nor_a_user_who_is_named_like_it() -> None:
    twin = twin_with()
    twin["properties"]["reported"] |= credentials(address="fleet.example", username="fleet", password=SECRET)
    assert redact(f"fleet.example refused {SECRET}", twin) == f"fleet.example refused {REDACTED}"
    twin["properties"]["reported"] |= credentials(address="fleet.example", username="operator", password=SECRET)
    assert redact("fleet.example refused operator", twin) == f"fleet.example refused {REDACTED}"
    twin["properties"]["reported"] |= credentials(address="fleet.azurecr.example", username="fleet", password=SECRET)
    assert redact(f"refused: fleet, {SECRET}", twin) == f"refused: fleet, {REDACTED}"
    twin["properties"]["desired"]["modules"]["m1"]["env"] = {"DEVICE": {"value": "edge-01"}}
    assert redact("fleet refused edge-01", twin) == "fleet refused edge-01"


def test_create_options_that_are_an_object_have_no_secret_in_their_open_places() -> None:
    open_place = {"HostConfig": {"Binds": ["/srv/line=data-one:/data"]}}
    for module in (ASKED, "desired.systemModules.edgeAgent"):
        assert secret_values(twin_with({f"{module}.settings.createOptions": open_place})) == []


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(10**4300, id="the first number that Python does not write"),
        pytest.param(10**10_000, id="ten thousand digits"),
        pytest.param(nested(5000), id="nested 5,000 deep"),
        pytest.param("[" * 100_000, id="text nested 100,000 deep"),
        pytest.param("1" * 10_000, id="text of ten thousand digits"),
        pytest.param(float("nan"), id="not a number"),
        pytest.param("\ud800", id="half a character"),
        pytest.param('"text"', id="text in quotes"),
        pytest.param(None, id="null"),
    ],
)
def test_odd_values_where_secrets_stand_stop_nothing(odd: Any) -> None:
    changes = {f"{MODULE}.env": {"A": {"value": odd}}, f"{MODULE}.settings.createOptions": odd}
    twin = twin_with({**changes, f"{ASKED}.env": odd})
    twin["properties"]["reported"] |= credentials(address=odd, username=odd, password=odd)
    twin["properties"]["desired"]["runtime"] = {"settings": {"registryCredentials": {"r": odd}}}
    assert redact("nothing of it", twin) == "nothing of it"
