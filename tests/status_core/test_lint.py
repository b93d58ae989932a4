"""What edgeAgent would refuse in a manifest, or nobody wants there; and nothing of what it takes."""

from typing import Any

import pytest
from twins import ASKED, GONE, MODULE, STATUS, judged, load_cases, twin_with

from status_core import State, evaluate
from status_core.kinds import lint_document
from status_core.lenient_json import is_object
from status_core.lint import FINDINGS, LARGE, lint, refused
from status_core.lint_values import twin_size

CASES = load_cases()
EARLIER = {"reported.lastDesiredVersion": 11}
HUB = "desired.systemModules.edgeHub"
AGENT = "desired.systemModules.edgeAgent"
OPTIONS = f"{ASKED}.settings.createOptions"


def desired(changes: dict[str, Any]) -> Any:
    return twin_with(changes)["properties"]["desired"]


def found(changes: dict[str, Any]) -> list[tuple[str, str]]:
    """Path, without its beginning, and problem of each finding of the healthy manifest with other values."""
    return [(item.path.removeprefix("properties.desired."), item.problem) for item in lint(desired(changes))]


@pytest.mark.parametrize("name", CASES)
def test_lint_finds_something_only_in_what_the_agent_refused(name: str) -> None:
    status = evaluate(CASES[name]["twin"])
    if status.lint:
        assert status.state is State.INVALID
    if status.state is not State.INVALID:
        assert refused(CASES[name]["twin"]["properties"]["desired"]) == []


MODULES = "modules.m1"
USE_ORDER = "use 0 to 4294967295"
USE_STATUS = "use running or stopped"
USE_POLICY = "use always, on-failure, on-unhealthy or never"
NO_IMAGE = "not an image reference; it must be [registry/]name[:tag]"


@pytest.mark.parametrize(
    ("changes", "path", "problem"),
    [
        ({f"{ASKED}.status": GONE}, f"{MODULES}.status", f"missing; {USE_STATUS}"),
        ({f"{ASKED}.status": "started"}, f"{MODULES}.status", f'"started" is not valid; {USE_STATUS}'),
        ({f"{ASKED}.status": "2-"}, f"{MODULES}.status", f'"2-" is not valid; {USE_STATUS}'),
        ({f"{ASKED}.status": "s" * 41}, f"{MODULES}.status", f'"{"s" * 37}..." is not valid; {USE_STATUS}'),
        ({f"{ASKED}.status": True}, f"{MODULES}.status", f"not a string; {USE_STATUS}"),
        ({f"{HUB}.status": None}, "systemModules.edgeHub.status", f"missing; {USE_STATUS}"),
        ({f"{ASKED}.type": GONE}, f"{MODULES}.type", "missing; it must be docker"),
        ({f"{ASKED}.type": "Docker"}, f"{MODULES}.type", '"Docker"; it must be docker'),
        ({f"{ASKED}.type": "d" * 41}, f"{MODULES}.type", f'"{"d" * 37}..."; it must be docker'),
        ({f"{ASKED}.type": 1}, f"{MODULES}.type", "not a string; it must be docker"),
        ({f"{AGENT}.type": "podman"}, "systemModules.edgeAgent.type", '"podman"; it must be docker'),
        (
            {f"{ASKED}.restartPolicy": "on-failured"},
            f"{MODULES}.restartPolicy",
            f'"on-failured" is not valid; {USE_POLICY}',
        ),
        ({f"{ASKED}.restartPolicy": None}, f"{MODULES}.restartPolicy", f"missing; {USE_POLICY}"),
        (
            {f"{ASKED}.imagePullPolicy": "always"},
            f"{MODULES}.imagePullPolicy",
            '"always" is not valid; use on-create or never',
        ),
        ({f"{ASKED}.startupOrder": -1}, f"{MODULES}.startupOrder", f"out of range; {USE_ORDER}"),
        ({f"{ASKED}.startupOrder": 2**32}, f"{MODULES}.startupOrder", f"out of range; {USE_ORDER}"),
        ({f"{ASKED}.startupOrder": "first"}, f"{MODULES}.startupOrder", f"not a number; {USE_ORDER}"),
        ({f"{ASKED}.startupOrder": [1]}, f"{MODULES}.startupOrder", f"not a number; {USE_ORDER}"),
        ({f"{ASKED}.startupOrder": "9" * 10_000}, f"{MODULES}.startupOrder", f"out of range; {USE_ORDER}"),
        ({f"{ASKED}.settings": GONE}, f"{MODULES}.settings", "missing"),
        ({f"{ASKED}.settings": "m1"}, f"{MODULES}.settings", "not an object"),
        ({f"{ASKED}.settings.image": GONE}, f"{MODULES}.settings.image", "missing or empty"),
        ({f"{ASKED}.settings.image": " "}, f"{MODULES}.settings.image", "missing or empty"),
        ({f"{ASKED}.settings.image": {}}, f"{MODULES}.settings.image", "not a string"),
        ({f"{ASKED}.settings.image": "r.example/"}, f"{MODULES}.settings.image", NO_IMAGE),
        ({f"{ASKED}.settings.image": "m1:"}, f"{MODULES}.settings.image", NO_IMAGE),
        ({f"{ASKED}.settings.image": "r/:1"}, f"{MODULES}.settings.image", NO_IMAGE),
        ({f"{ASKED}.settings.image": "m1:1:2"}, f"{MODULES}.settings.image", NO_IMAGE),
        (
            {f"{ASKED}.settings.image": "m1:1@sha256:ab"},
            f"{MODULES}.settings.image",
            "not an image reference for the agent, which takes a tag or a digest but not both",
        ),
        (
            {f"{ASKED}.settings.image": "$upstream/m1:1"},
            f"{MODULES}.settings.image",
            "not an image reference; it starts with $ and is not $upstream:<port>/...",
        ),
        ({OPTIONS: "{"}, f"{MODULES}.settings.createOptions", "not a JSON object"),
        ({OPTIONS: "[]"}, f"{MODULES}.settings.createOptions", "not a JSON object"),
        ({OPTIONS: 5}, f"{MODULES}.settings.createOptions", "not a JSON object"),
        ({f"{ASKED}.env": ["A=1"]}, f"{MODULES}.env", "not an object"),
        ({f"{ASKED}.env": {"A": "1"}}, f"{MODULES}.env.A", 'not an object; write {"value": "..."}'),
        ({f"{ASKED}.env": {"A": {"value": []}}}, f"{MODULES}.env.A.value", "not a string"),
        ({ASKED: 5}, MODULES, "not an object"),
        ({"desired.modules": []}, "modules", "not an object"),
        ({"desired.systemModules": GONE}, "systemModules", "missing"),
        ({"desired.runtime": GONE}, "runtime", "missing"),
        ({"desired.runtime": []}, "runtime", "not an object"),
        ({"desired.runtime.type": GONE}, "runtime.type", "missing; it must be docker"),
        (
            {"desired.runtime.settings.registryCredentials": {"r": {"address": "r", "username": " ", "password": "p"}}},
            "runtime.settings.registryCredentials.r.username",
            "missing or empty",
        ),
        ({"desired.schemaVersion": GONE}, "schemaVersion", "missing; use 1.0 or 1.1"),
        ({"desired.schemaVersion": "2.0"}, "schemaVersion", "2.0 is not supported; use 1.0 or 1.1"),
        ({"desired.schemaVersion": "1.1.1"}, "schemaVersion", "1.1.1 is not supported; use 1.0 or 1.1"),
        ({"desired.schemaVersion": "1.1.0.0"}, "schemaVersion", "1.1.0.0 is not supported; use 1.0 or 1.1"),
        ({"desired.schemaVersion": "1.1000000000"}, "schemaVersion", "not a version; use 1.0 or 1.1"),
        ({"desired.schemaVersion": "1"}, "schemaVersion", "not a version; use 1.0 or 1.1"),
        ({"desired.schemaVersion": "1.x"}, "schemaVersion", "not a version; use 1.0 or 1.1"),
        ({"desired.schemaVersion": "1.99999999999"}, "schemaVersion", "not a version; use 1.0 or 1.1"),
    ],
    ids=lambda value: str(value)[:32],
)
def test_what_the_agent_refuses_is_found_with_its_path(changes: dict[str, Any], path: str, problem: str) -> None:
    assert found(changes) == [(path, problem)]
    status = judged({**changes, f"{STATUS}.code": 400})
    assert [str(item) for item in status.lint] == [f"properties.desired.{path}: {problem}"]


@pytest.mark.parametrize(
    "changes",
    [
        {f"{ASKED}.status": " Running "},
        {f"{ASKED}.status": "failed"},
        {f"{ASKED}.status": 2},
        {f"{ASKED}.status": "2"},
        {f"{ASKED}.status": "+2"},
        {f"{ASKED}.status": "-2"},
        {ASKED: {"TYPE": "docker", "Status": "running", "Settings": {"Image": "m1"}}},
        {f"{ASKED}.restartPolicy": GONE},
        {f"{ASKED}.restartPolicy": "OnFailure"},
        {f"{ASKED}.imagePullPolicy": "On-Create"},
        {f"{ASKED}.imagePullPolicy": None},
        {f"{ASKED}.settings.image": " m1 "},
        {f"{ASKED}.settings.image": "localhost:5000/a/m1:1.0-amd64"},
        {f"{ASKED}.settings.image": "r.example/m1@sha256:ab"},
        {f"{ASKED}.settings.image": "$upstream:5000/m1:1"},
        {f"{ASKED}.settings.image": "$upstream:5000"},
        {f"{ASKED}.settings.image": "$upstream:0/$upstream:5000/m1"},
        {f"{ASKED}.settings.image": 5},
        {OPTIONS: GONE},
        {OPTIONS: None},
        {OPTIONS: ""},
        {OPTIONS: " NULL "},
        {OPTIONS: {"Env": []}},
        {OPTIONS: "{'Env': ['A=1',], /* one */ HostConfig: {Privileged: true}} // end"},
        {OPTIONS: '{"a":' * 100_000},
        {OPTIONS: '{"Env": ["A=${B} c"]}'},
        {f"{ASKED}.settings": {"image": "m1", "createOptions": '{"Env":', "createOptions01": '["A=1"]}'}},
        {f"{ASKED}.settings": {"image": "m1", "CreateOptions": '{"Env":', "createOptions1": '["A=1"]}'}},
        {f"{ASKED}.startupOrder": 2**32 - 1},
        {f"{ASKED}.startupOrder": " 5 "},
        {f"{ASKED}.startupOrder": 1.5},
        {f"{AGENT}.startupOrder": -1},
        {f"{ASKED}.env": {"A": {"value": 5}, "B": {}, "C": None}},
        {f"{ASKED}.env": {}},
        {f"{ASKED}.env": {"A": {"value": "level: ${level}"}}},
        {ASKED: None},
        {"desired.modules.$own": 5},
        {"desired.modules": GONE},
        {"desired.systemModules": {}},
        {f"{AGENT}.status": "odd", f"{AGENT}.restartPolicy": "odd"},
        {"desired.runtime.settings.registryCredentials": {"r": None}},
        {"desired.runtime.settings.registryCredentials": {"r": {"address": "r", "username": "u", "password": 5}}},
        {"desired.schemaVersion": 1.1},
        {"desired.schemaVersion": "1.0.7"},
        {"desired.schemaVersion": "1.1.0"},
        {f"{ASKED}.settings.image": "r.example:5000/a:b/m1:1"},
        {"desired": {"$version": 12, "$metadata": {}}},
    ],
    ids=lambda value: str(value)[:48],
)
def test_what_the_agent_takes_is_not_found(changes: dict[str, Any]) -> None:
    assert [item for item in found(changes) if "32 KB" not in item[1]] == []


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ({}, []),
        ({"modules": {"m1": {"env": {}}}, "systemModules": {"edgeHub": {"type": "docker"}}}, []),
        ({"modules": {"m1": {"status": "running"}, "m2": {"settings": {"createOptions": "{}"}}}}, []),
        ({"runtime": {"settings": {"registryCredentials": {"r": {"username": "u"}}}}}, []),
        ({"schemaVersion": "2.0"}, [("schemaVersion", "2.0 is not supported; use 1.0 or 1.1")]),
        ({"schemaVersion": None}, [("schemaVersion", "missing; use 1.0 or 1.1")]),
        ({"runtime": {"type": "podman"}}, [("runtime.type", '"podman"; it must be docker')]),
        (
            {"runtime": {"settings": {"registryCredentials": {"r": {"username": ""}}}}},
            [("runtime.settings.registryCredentials.r.username", "missing or empty")],
        ),
        ({"modules": {"m1": {"status": "started"}}}, [("modules.m1.status", f'"started" is not valid; {USE_STATUS}')]),
        ({"modules": {"m1": {"type": None}}}, [("modules.m1.type", "missing; it must be docker")]),
        ({"modules": {"m1": {"settings": {"image": ""}}}}, [("modules.m1.settings.image", "missing or empty")]),
        ({"modules": {"m1": {"type": "docker", "status": "running"}}}, [("modules.m1.settings", "missing")]),
        (
            {"modules": {"m1": {"type": "docker", "settings": {}}}},
            [("modules.m1.settings.image", "missing or empty"), ("modules.m1.status", f"missing; {USE_STATUS}")],
        ),
        (
            {"modules": {"m1": {"status": "running", "settings": {"image": "m1"}}}},
            [("modules.m1.type", "missing; it must be docker")],
        ),
    ],
)
def test_of_a_layer_only_what_it_sets_is_judged_and_a_module_as_a_whole_where_it_sets_most(
    layer: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert [(item.path, item.problem) for item in lint(layer, path="", is_layer=True)] == [
        (f".{path}", problem) for path, problem in expected
    ]


LEFT = "but valid without: another deployment left it there"


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"createOptions": '{"a":', "createOptions01": "1"}, "not a JSON object with createOptions01"),
        (
            {"createOptions": '{"a":1}', "createOptions01": "}", "createOptions02": "x"},
            f"not a JSON object with createOptions01, createOptions02, {LEFT}",
        ),
        (
            {"createOptions": '{"a":', "createOptions01": "1}", "createOptions02": "x"},
            f"not a JSON object with createOptions02, {LEFT}",
        ),
        (
            {"createOptions": ' {"a":1}', "createOptions01": "}"},
            f"not a JSON object with createOptions01, {LEFT}",
        ),
        ({"createOptions": '[{"a":1}]', "createOptions01": "}"}, "not a JSON object with createOptions01"),
        (
            {"createOptions": "{", "createOptions01": "x", "createOptions02": "y"},
            "not a JSON object with createOptions01, createOptions02",
        ),
        ({"createOptions": '{"a":1}}', "createOptions01": "}"}, "not a JSON object with createOptions01"),
        ({"createOptions": '{"a":', "createOptions02": "1}"}, "createOptions01 is missing before createOptions02"),
        ({"createOptions01": "{}"}, "createOptions is missing before createOptions01"),
        (
            {"createOptions": "{}", f"createOptions{'9' * 5000}": ""},
            f"createOptions01 is missing before createOptions{'9' * 24}...",
        ),
        ({"createOptions": {"a": 1}, "createOptions01": ""}, "not a JSON object"),
    ],
)
def test_create_options_are_judged_joined_over_their_parts(parts: dict[str, Any], problem: str) -> None:
    settings = {"image": "m1", **parts}
    assert found({f"{ASKED}.settings": settings}) == [("modules.m1.settings.createOptions", problem)]


PLACEHOLDER = "a placeholder ${...} of a template is left in it"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({f"{ASKED}.settings.image": "r/m1:${VERSION}"}, f"{MODULES}.settings.image"),
        ({f"{HUB}.settings.image": "r/hub:${VERSION}"}, "systemModules.edgeHub.settings.image"),
        ({OPTIONS: '{"Env": ["KEY=${KEY}"]}'}, f"{MODULES}.settings.createOptions"),
        ({OPTIONS: '{"User": "${USER}"}'}, f"{MODULES}.settings.createOptions"),
        ({f"{ASKED}.env": {"KEY": {"value": "${KEY}"}}}, f"{MODULES}.env.KEY"),
        (
            {
                "desired.runtime.settings.registryCredentials": {
                    "r": dict.fromkeys(("address", "username"), "a"),
                    "s": {},
                }
            },
            None,
        ),
        (
            {
                "desired.runtime.settings.registryCredentials": {
                    "r": {"address": "r", "username": "a${USER}", "password": "p"}
                }
            },
            "runtime.settings.registryCredentials.r.username",
        ),
        (
            {"desired.runtime.settings.registryCredentials": {"r": {"address": "r", "username": "a", "password": 5}}},
            None,
        ),
    ],
)
def test_a_placeholder_that_is_left_in_is_found_in_what_the_agent_took_too(
    changes: dict[str, Any], path: str | None
) -> None:
    expected = [f"properties.desired.{path}: {PLACEHOLDER}"] if path is not None else []
    assert [str(item) for item in judged(changes).lint] == expected
    assert [str(item) for item in judged(EARLIER | changes).lint if PLACEHOLDER in item.problem] == expected


def of_size(section: str, size: int) -> dict[str, Any]:
    """The changes that make a section of the healthy twin as large as that."""
    value = twin_with({f"{section}.modules.m1.env": {"TEXT": {"value": ""}}})
    missing = size - twin_size(value["properties"][section])
    return {f"{section}.modules.m1.env": {"TEXT": {"value": "x" * missing}}}


@pytest.mark.parametrize("section", ["desired", "reported"])
@pytest.mark.parametrize("changes", [{}, EARLIER])
def test_a_section_that_is_nearly_too_large_is_found(section: str, changes: dict[str, Any]) -> None:
    too_large = [f"properties.{section}: 28.0 KB of the 32 KB that IoT Hub allows"]
    assert judged({**changes, **of_size(section, LARGE)}).lint == ()
    # A report on a version that was taken is weighed by what is desired.
    expected = too_large if changes or section == "desired" else []
    assert [str(item) for item in judged({**changes, **of_size(section, LARGE + 1)}).lint] == expected


@pytest.mark.parametrize(
    "path",
    [
        "modules.m1.env.TEXT.value",
        "modules.m1.settings.createOptions",
        "systemModules.edgeHub.env.TEXT.value",
        "systemModules.edgeHub.settings.createOptions",
        "runtime.settings.registryCredentials.r.password",
    ],
)
@pytest.mark.parametrize("section", ["desired", "reported"])
def test_a_section_is_found_whatever_makes_it_large(section: str, path: str) -> None:
    credentials = {f"{section}.runtime.settings.registryCredentials.s.username": "s"}
    status = judged({**EARLIER, f"{section}.{path}": "x" * LARGE, **credentials})
    assert f"properties.{section}" in [item.path for item in status.lint]


@pytest.mark.parametrize(("size", "shown"), [(28_673, "28.0"), (32_220, "31.5"), (32_768, "32.0"), (34_000, "33.2")])
def test_a_size_is_given_in_units_of_1024_bytes(size: int, shown: str) -> None:
    (finding,) = judged(of_size("desired", size)).lint
    assert finding.problem == f"{shown} KB of the 32 KB that IoT Hub allows"


def test_a_report_that_is_nearly_too_large_is_found_by_what_is_desired_and_its_modules() -> None:
    long = {"TEXT": {"value": "x" * 27_000}}
    both = judged({f"{ASKED}.env": long, f"{MODULE}.env": long, "reported.pad": "x" * 2000})
    assert [item.path for item in both.lint] == ["properties.reported"]


def test_each_section_of_a_twin_is_large_or_not_by_itself() -> None:
    half = {"TEXT": {"value": "x" * 20_000}}
    assert lint_document(twin_with({f"{ASKED}.env": half, f"{MODULE}.env": half})) == []


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("{}", True),
        ('{"a": [1, {"b": null}], "c": {}}', True),
        ("{'a': 1}", True),
        ('{"a": [1, 2,], }', True),
        ("{/* one */ a: true} // end", True),
        ("{/***/ a: /* * / **/ true}", True),
        ('{"a": "two\nlines"}', True),
        ('{"a": [1}', False),
        ('{"a": 1]', False),
        ('{"a": 1', False),
        ('{"a" 1}', False),
        ('{"a":, "b": 1}', False),
        ('{"a": "no end}', False),
        ('{"a": 1} {', False),
        ('{"a": 1}}', False),
        ("{,}", False),
        ("'a'", False),
        ("", False),
        ("/* no end", False),
        ("{/*/ a: true}", False),
    ],
)
def test_a_text_is_an_object_where_newtonsoft_reads_one(text: str, *, is_one: bool) -> None:
    assert is_object(text) is is_one


def test_the_size_of_a_section_is_counted_as_iot_hub_counts_it() -> None:
    section = {
        "$metadata": {"a": "long"},
        "$version": 3,
        "n\u00e4me": "w\u00f6rd",
        "n": 5,
        "b": True,
        "l": ["ab", None, {"k": 1.5}],
    }
    assert twin_size(section) == 5 + 5 + (1 + 8) + (1 + 4) + (1 + 2 + 1 + 8)


def test_a_status_keeps_twenty_findings_of_eight_thousand_characters_at_most() -> None:
    modules = {f"{number:02}{'m' * 500}": {"type": "x" * 500, "settings": {"image": ""}} for number in range(30)}
    findings = judged({**EARLIER, "desired.modules": modules}).lint
    assert len(findings) == FINDINGS
    assert sum(len(str(item)) for item in findings) <= 8000
    assert [item.path for item in findings] == sorted(item.path for item in findings)


def test_a_finding_quotes_no_value_that_may_be_secret() -> None:
    secret = "hunter2-correct-horse"
    credentials = {"r": {"address": "", "username": secret, "password": f"{secret}${{P}}"}}
    changes = {
        OPTIONS: f'{{"Env": ["TOKEN={secret}"',
        f"{ASKED}.env": {"A": secret, "B": {"value": [secret]}, "C": {"value": "${C}"}},
        "desired.runtime.settings": {"registryCredentials": credentials},
        f"{ASKED}.settings.image": "m1:",
    }
    status = judged({**changes, f"{STATUS}.code": 400})
    assert len(status.lint) == 7
    assert secret not in "".join(map(str, status.lint)) + status.message
