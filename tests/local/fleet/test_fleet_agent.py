"""The reports of a simulated edgeAgent, and their times."""

import json
from http import HTTPStatus
from typing import Any

import pytest
from simulated_device import Device, manifest, module, running, statuses

from local.fleet import ImageBehaviour

TIMED_OUT = (
    "One or more errors occurred. "
    "(The request was canceled due to the configured HttpClient.Timeout of 300 seconds elapsing.)"
)


def test_a_device_without_deployment_reports_417_and_no_version() -> None:
    device = Device()
    device.agent.start(device.at(0))
    [(seconds, patch)] = device.until(60)
    assert seconds == 0
    assert patch["lastDesiredStatus"]["code"] == 417
    assert patch["lastDesiredStatus"]["description"].startswith("This device has an empty configuration")
    assert "lastDesiredVersion" not in patch
    assert patch["runtime"]["Type"] == "Unknown"
    assert patch["systemModules"].keys() == {"edgeAgent"}


def test_the_first_report_of_a_device_that_has_a_deployment_has_no_description() -> None:
    device = Device()
    device.deploy(manifest(m1=module("vision:1")), 0)
    device.agent.start(device.at(0))
    first, second = device.until(60)
    assert first[1]["lastDesiredStatus"] == {"code": 200}
    assert first[1]["lastDesiredVersion"] == 2
    assert "modules" not in first[1]
    assert second[1].keys() == {"systemModules", "modules"}
    assert second[0] - first[0] == 5


def test_an_image_change_first_raises_the_version_and_shows_the_image_one_reconcile_later() -> None:
    device = running(manifest(m1=module("vision:1")), {"vision:2": ImageBehaviour(pull_seconds=40)})
    device.deploy(manifest(m1=module("vision:2")), 61)
    assert device.until(102) == []
    (first_at, first), (second_at, second) = device.until(180)
    assert first == {"lastDesiredVersion": 3}
    assert second_at - first_at == 5
    assert second.keys() == {"modules"}
    assert second["modules"]["m1"]["settings"]["image"] == "vision:2"


def test_nothing_is_reported_during_a_pull_not_even_the_crash_of_another_module() -> None:
    device = running(manifest(m1=module("vision:1")), {"flaky:1": ImageBehaviour(exits_after=3, exit_code=1)})
    device.runtime.images["vision:2"] = ImageBehaviour(pull_seconds=200)
    device.deploy(manifest(m1=module("vision:2"), a=module("flaky:1")), 61)
    assert device.until(250) == []
    assert device.reported["lastDesiredVersion"] == 2
    device.until(300)
    assert device.reported["modules"]["a"]["runtimeStatus"] in {"backoff", "running"}


def test_a_module_that_is_no_longer_desired_becomes_null() -> None:
    device = running(manifest(m1=module("vision:1"), m2=module("other:1")))
    device.deploy(manifest(m1=module("vision:1")), 61)
    assert [patch for _, patch in device.until(120)] == [{"lastDesiredVersion": 3}, {"modules": {"m2": None}}]
    assert device.reported["modules"].keys() == {"m1"}


def test_a_deployment_that_changes_no_module_raises_the_version_alone() -> None:
    device = running(manifest(m1=module("vision:1")))
    device.deploy(manifest("1.0", m1=module("vision:1")), 61)
    assert [patch for _, patch in device.until(120)] == [{"lastDesiredVersion": 3}]


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "docker", "settings": {"image": "vision:2"}},
        module("vision:2", restartPolicy="on-failured"),
        module("vision:2", type="podman"),
        module("vision:2", imagePullPolicy="sometimes"),
        module("vision:2", createOptions="{"),
        module("  "),
        module("$upstream/vision:2"),
        "vision:2",
        None,
    ],
)
def test_a_manifest_that_cannot_be_read_is_a_400_with_the_version_before(bad: Any) -> None:
    device = running(manifest(m1=module("vision:1")))
    device.deploy(manifest(m1=bad), 61)
    [(_, patch)] = device.until(120)
    assert patch == {"lastDesiredStatus": {"code": 400, "description": "Agent configuration format is invalid."}}
    assert device.reported["lastDesiredVersion"] == 2
    assert device.reported["modules"]["m1"]["runtimeStatus"] == "running"


@pytest.mark.parametrize("schema", ["2.0", "1.2", "1.x", "", None])
def test_a_schema_version_that_the_agent_does_not_know_is_a_412(schema: Any) -> None:
    device = running(manifest(m1=module("vision:1")))
    device.deploy(manifest(schema, m1=module("vision:2")), 61)
    [(_, patch)] = device.until(120)
    assert patch["lastDesiredStatus"]["code"] == 412
    assert device.reported["lastDesiredVersion"] == 2


def test_an_old_agent_rejects_the_schema_that_a_newer_one_reads() -> None:
    device = Device(newest_schema=(1, 0))
    device.deploy(manifest("1.1"), 0)
    device.agent.start(device.at(0))
    device.until(30)
    assert device.reported["lastDesiredStatus"]["code"] == 412
    assert "lastDesiredVersion" not in device.reported


def test_an_image_that_came_with_the_device_is_not_pulled() -> None:
    refused = {"vision:2": ImageBehaviour(pull_error=HTTPStatus.NOT_FOUND)}
    device = running(manifest(m1=module("vision:2", imagePullPolicy="never")), refused)
    assert device.reported["lastDesiredStatus"]["code"] == 200
    assert device.reported["modules"]["m1"]["imagePullPolicy"] == "never"


def test_a_refused_pull_is_a_500_and_the_other_modules_go_on() -> None:
    device = running(
        manifest(m1=module("vision:1"), m2=module("other:1")),
        {"vision:2": ImageBehaviour(pull_error=HTTPStatus.NOT_FOUND)},
    )
    device.deploy(manifest(m1=module("vision:2"), m2=module("other:2")), 61)
    device.until(90)
    assert device.reported["lastDesiredVersion"] == 3
    assert device.reported["lastDesiredStatus"] == {
        "code": 500,
        "description": "One or more errors occurred. "
        '(Error calling prepare update for module m1: registry operation error: pull image "vision:2")',
    }
    images = {name: entry["settings"]["image"] for name, entry in device.reported["modules"].items()}
    assert images == {"m1": "vision:1", "m2": "other:2"}


def test_a_refused_pull_is_tried_again_and_heals_when_the_registry_does() -> None:
    device = running(manifest(m1=module("vision:1")), {"vision:2": ImageBehaviour(pull_error=HTTPStatus.NOT_FOUND)})
    device.deploy(manifest(m1=module("vision:2")), 61)
    device.until(300)
    assert device.reported["lastDesiredStatus"]["code"] == 500
    device.runtime.images.clear()
    device.until(1200)
    assert device.reported["lastDesiredStatus"] == {"code": 200, "description": ""}
    assert device.reported["modules"]["m1"]["settings"]["image"] == "vision:2"


def test_a_slow_pull_times_out_goes_on_and_arrives() -> None:
    device = running(manifest(m1=module("vision:1")), {"vision:2": ImageBehaviour(pull_seconds=400)})
    device.deploy(manifest(m1=module("vision:2")), 61)
    [(_, patch)] = device.until(370)
    assert patch == {"lastDesiredVersion": 3, "lastDesiredStatus": {"code": 500, "description": TIMED_OUT}}
    assert device.reported["modules"]["m1"]["settings"]["image"] == "vision:1"
    device.until(500)
    assert device.reported["lastDesiredStatus"] == {"code": 200, "description": ""}
    assert device.reported["modules"]["m1"]["settings"]["image"] == "vision:2"


def test_a_pull_that_hangs_stays_a_500_until_there_is_another_version() -> None:
    device = running(manifest(m1=module("vision:1")), {"vision:2": ImageBehaviour(pull_seconds=None)})
    device.deploy(manifest(m1=module("vision:2")), 61)
    device.until(4000)
    assert device.reported["lastDesiredStatus"] == {"code": 500, "description": TIMED_OUT}
    device.deploy(manifest(m1=module("vision:3")), 4001)
    device.until(4700)
    assert device.reported["lastDesiredStatus"]["code"] == 200
    assert device.reported["modules"]["m1"]["settings"]["image"] == "vision:3"


def test_a_module_that_crashes_is_in_backoff_and_restarted_after_a_growing_time() -> None:
    device = running(manifest(m1=module("flaky:1")), {"flaky:1": ImageBehaviour(exits_after=7, exit_code=139)})
    device.until(1000)
    entry = device.reported["modules"]["m1"]
    assert (entry["exitCode"], device.reported["lastDesiredStatus"]["code"]) == (139, 200)
    assert set(statuses(device)) == {"running", "backoff"}
    # 10 + 20 + 40 + 80 + 160 seconds of cool-off, 300 from then on, and a reconcile here and there.
    assert 6 <= entry["restartCount"] <= 8
    assert entry["lastRestartTimeUtc"] > "2024-05-02T09"


def test_a_module_that_crashed_20_times_has_failed() -> None:
    device = running(manifest(m1=module("flaky:1")), {"flaky:1": ImageBehaviour(exits_after=2, exit_code=1)})
    device.until(3 * 3600)
    entry = device.reported["modules"]["m1"]
    assert (entry["runtimeStatus"], entry["restartCount"]) == ("failed", 20)


def test_the_restarts_of_a_module_that_runs_for_ten_minutes_are_forgotten() -> None:
    device = running(manifest(m1=module("flaky:1")), {"flaky:1": ImageBehaviour(exits_after=2, exit_code=1)})
    device.runtime.images.clear()
    device.until(300)
    assert device.reported["modules"]["m1"]["restartCount"] > 0
    device.until(1000)
    assert device.reported["modules"]["m1"]["restartCount"] == 0
    entry = device.reported["modules"]["m1"]
    assert entry["lastRestartTimeUtc"] == entry["lastExitTimeUtc"]


@pytest.mark.parametrize(
    ("policy", "exit_code", "expected"),
    [
        ("never", 0, "stopped"),
        ("never", 1, "failed"),
        ("on-failure", 1, "backoff"),
        ("on-unhealthy", 1, "backoff"),
        ("always", 0, "backoff"),
        ("Always", 1, "backoff"),
    ],
)
def test_the_restart_policy_decides_the_status_after_an_exit(policy: str, exit_code: int, expected: str) -> None:
    job = ImageBehaviour(exits_after=2, exit_code=exit_code)
    device = running(manifest(m1=module("job:1", restartPolicy=policy)), {"job:1": job})
    assert expected in statuses(device)


def test_what_exits_with_0_under_on_failure_is_started_again_without_backoff() -> None:
    job = ImageBehaviour(exits_after=2)
    device = running(manifest(m1=module("job:1", restartPolicy="on-failure")), {"job:1": job})
    first = device.reported["modules"]["m1"]
    device.until(120)
    again = device.reported["modules"]["m1"]
    assert again["lastStartTimeUtc"] > first["lastStartTimeUtc"]
    assert (again["runtimeStatus"], again["restartCount"]) == ("stopped", 0)


def test_a_module_that_is_to_stop_reports_failed_with_the_code_of_the_signal() -> None:
    device = running(manifest(m1=module("vision:1")))
    device.deploy(manifest(m1=module("vision:1", status="stopped")), 61)
    device.until(120)
    entry = device.reported["modules"]["m1"]
    assert (entry["status"], entry["runtimeStatus"], entry["exitCode"]) == ("stopped", "failed", 143)
    device.deploy(manifest(m1=module("vision:1")), 121)
    device.until(180)
    entry = device.reported["modules"]["m1"]
    assert (entry["status"], entry["runtimeStatus"], entry["restartCount"]) == ("running", "running", 0)


def test_a_graceful_stop_reports_406_and_every_module_as_unknown() -> None:
    device = running(manifest(m1=module("vision:1")))
    device.agent.shut_down(device.at(61))
    assert device.reported["lastDesiredStatus"] == {"code": 406, "description": "Agent is not running"}
    entries = {**device.reported["modules"], **device.reported["systemModules"]}
    assert {name: entry["runtimeStatus"] for name, entry in entries.items()} == dict.fromkeys(
        ("m1", "edgeHub", "edgeAgent"), "unknown"
    )
    assert device.until(600) == []


def test_a_device_that_is_off_cannot_be_stopped_again() -> None:
    device = running(manifest(m1=module("vision:1")))
    device.agent.power_off(device.at(61))
    before = len(device.changes)
    device.agent.shut_down(device.at(62))
    assert len(device.changes) == before


def test_a_power_cut_reports_nothing() -> None:
    device = running(manifest(m1=module("vision:1")))
    before = device.registry.get("edge-1")
    device.agent.power_off(device.at(61))
    device.deploy(manifest(m1=module("vision:2")), 62)
    assert device.until(600) == []
    assert device.reported == (before or {})["properties"]["reported"]


@pytest.mark.parametrize("end", ["shut_down", "power_off"])
def test_a_device_that_comes_back_takes_the_deployment_that_it_missed(end: str) -> None:
    device = running(manifest(m1=module("vision:1")))
    getattr(device.agent, end)(device.at(61))
    device.deploy(manifest(m1=module("vision:2")), 62)
    device.agent.start(device.at(600))
    device.until(700)
    assert device.reported["lastDesiredVersion"] == 3
    assert device.reported["lastDesiredStatus"]["code"] == 200
    entries = {**device.reported["modules"], **device.reported["systemModules"]}
    assert {entry["runtimeStatus"] for entry in entries.values()} == {"running"}
    assert device.reported["modules"]["m1"]["settings"]["image"] == "vision:2"


def test_a_power_cut_loses_the_pull_that_was_under_way() -> None:
    device = running(manifest(m1=module("vision:1")), {"vision:2": ImageBehaviour(pull_seconds=100)})
    device.deploy(manifest(m1=module("vision:2")), 61)
    device.agent.power_off(device.at(90))
    device.agent.start(device.at(150))
    device.until(240)
    assert not device.runtime.has("vision:2")
    device.until(400)
    assert device.reported["modules"]["m1"]["settings"]["image"] == "vision:2"


def versions_and_codes(device: Device, seconds: float) -> list[tuple[int, int, str]]:
    """What was reported from one second to the next: the version, the code, and the image of the agent."""
    seen = []
    for second in range(61, round(seconds)):
        if device.until(second):
            agent = device.reported["systemModules"]["edgeAgent"]
            image = agent["settings"]["image"].rpartition(":")[2]
            seen.append((device.reported["lastDesiredVersion"], device.status[0], image))
    return seen


def test_an_agent_that_replaces_itself_takes_the_version_reports_406_and_comes_back_with_its_new_image() -> None:
    device = running(manifest(m1=module("vision:1")))
    before = device.reported["modules"]["m1"]
    device.deploy(manifest(agent="azureiotedge-agent:1.6", m1=module("vision:1")), 61)
    assert versions_and_codes(device, 180) == [(3, 406, "1.5"), (3, 200, "1.6")]
    patches = [change.reported_patch for change in device.changes[-3:]]
    assert patches[0] == {"lastDesiredVersion": 3}
    assert device.reported["modules"]["m1"] == before


def test_an_agent_that_replaces_itself_leaves_the_rest_of_the_plan_to_the_new_one() -> None:
    device = running(manifest(m1=module("vision:1")))
    device.deploy(manifest(agent="azureiotedge-agent:1.6", m1=module("vision:2")), 61)
    assert versions_and_codes(device, 180) == [(2, 406, "1.5"), (3, 200, "1.6"), (3, 200, "1.6")]
    assert device.reported["modules"]["m1"]["settings"]["image"] == "vision:2"


def test_the_environment_of_an_agent_counts_only_once_it_was_made_by_an_agent() -> None:
    def content(image: str, level: str) -> dict[str, Any]:
        desired = manifest(agent=image)
        desired["systemModules"]["edgeAgent"]["env"] = {"RuntimeLogLevel": {"value": level}}
        return desired

    device = running(content("azureiotedge-agent:1.6", "info"))
    device.deploy(content("azureiotedge-agent:1.6", "debug"), 61)
    device.until(120)
    agent = device.reported["systemModules"]["edgeAgent"]
    assert agent["env"] == {"RuntimeLogLevel": {"value": "debug"}}
    fresh = running(content("mcr.microsoft.com/azureiotedge-agent:1.5", "info"))
    assert "env" not in fresh.reported["systemModules"]["edgeAgent"]


def test_the_first_report_of_a_new_process_has_its_start_time_and_every_digest_again() -> None:
    device = running(manifest(m1=module("vision:1")))
    device.agent.kill(device.at(61))
    device.agent.start(device.at(120))
    [(_, patch)] = device.until(300)
    digests = {name: entry["settings"]["imageHash"] for name, entry in patch["modules"].items()}
    assert digests == {"m1": device.reported["modules"]["m1"]["settings"]["imageHash"]}
    assert patch["systemModules"]["edgeAgent"]["lastStartTimeUtc"] == "2024-05-02T09:02:00Z"
    section = device.reported["$metadata"]
    assert section["systemModules"]["edgeAgent"]["lastStartTimeUtc"]["$lastUpdated"] == section["$lastUpdated"]


def test_a_device_is_connected_while_its_agent_runs() -> None:
    device = Device()
    states = []
    for second, act in enumerate((device.agent.start, device.agent.kill, device.agent.start, device.agent.power_off)):
        act(device.at(10 * second))
        device.until(10 * second)
        states.append((device.registry.get("edge-1") or {})["connectionState"])
    assert states == ["Connected", "Disconnected", "Connected", "Disconnected"]


def test_a_module_that_was_made_for_a_version_not_yet_taken_is_made_again() -> None:
    device = running(manifest(m1=module("vision:1")))
    device.runtime.images["other:1"] = ImageBehaviour(pull_seconds=0)
    device.runtime.images["slow:1"] = ImageBehaviour(pull_seconds=100)
    device.deploy(manifest(m1=module("vision:1"), a=module("other:1"), b=module("slow:1")), 61)
    device.until(70)
    device.agent.kill(device.at(80))
    device.agent.start(device.at(100))
    assert device.runtime.containers["a"].started_at == device.at(63)
    device.until(300)
    assert device.runtime.containers["a"].started_at == device.at(163)  # new modules come first


@pytest.mark.parametrize(
    ("desired", "reported"),
    [
        ("nginx", "nginx:latest"),
        ("  ubuntu ", "ubuntu:latest"),
        ("host:5000/app", "host:5000/app:latest"),
        ("$upstream:443/app:1", "parent.example.com:443/app:1"),
        ("app@sha256:" + "a" * 64, "app@sha256:" + "a" * 64),
    ],
)
def test_images_are_reported_as_they_were_rewritten(desired: str, reported: str) -> None:
    device = running(manifest(m1=module(desired)))
    assert device.reported["modules"]["m1"]["settings"]["image"] == reported


def test_env_create_options_and_credentials_come_back_in_clear() -> None:
    content = manifest(m1=module("vision:1", env={"KEY": {"value": "s3cret"}}, createOptions='{"User": "root"}'))
    credentials = {"acr": {"username": "u", "password": "p4ss", "address": "registry.example.com"}}
    content["runtime"]["settings"]["registryCredentials"] = credentials
    device = running(content)
    entry = device.reported["modules"]["m1"]
    assert entry["env"] == {"KEY": {"value": "s3cret"}}
    assert entry["settings"]["createOptions"] == '{"User":"root"}'
    assert device.reported["runtime"]["settings"] == {"minDockerVersion": "v1.25", "registryCredentials": credentials}


def test_long_create_options_are_read_and_reported_in_chunks() -> None:
    options = json.dumps({"Labels": {"x": "y" * 600}}, separators=(",", ":"))
    entry = module("vision:1")
    entry["settings"] |= {"createOptions": options[:512], "createOptions01": options[512:]}
    device = running(manifest(m1=entry))
    settings = device.reported["modules"]["m1"]["settings"]
    assert settings["createOptions"] + settings["createOptions01"] == options


def test_a_module_whose_environment_changes_is_made_again() -> None:
    device = running(manifest(m1=module("vision:1")))
    before = device.reported["modules"]["m1"]["lastStartTimeUtc"]
    device.deploy(manifest(m1=module("vision:1", env={"A": {"value": "1"}})), 61)
    device.until(120)
    assert device.reported["modules"]["m1"]["lastStartTimeUtc"] > before


def test_modules_start_in_their_startup_order() -> None:
    device = running(manifest(a=module("one:1", startupOrder=2), b=module("two:1", startupOrder=1)))
    entries = device.reported["modules"]
    assert entries["b"]["lastStartTimeUtc"] < entries["a"]["lastStartTimeUtc"]
    assert (entries["a"]["startupOrder"], entries["b"]["startupOrder"]) == (2, 1)
    assert "startupOrder" not in device.reported["systemModules"]["edgeHub"]


def test_an_edge_hub_that_is_no_longer_desired_is_unknown() -> None:
    device = running(manifest())
    content = manifest()
    del content["systemModules"]["edgeHub"]
    device.deploy(content, 61)
    device.until(120)
    assert device.reported["systemModules"]["edgeHub"] == {
        "type": "Unknown",
        "status": "unknown",
        "restartPolicy": "never",
        "startupOrder": 4294967295,
    }


def test_reports_follow_one_another_by_whole_reconciles_whatever_the_clock_does() -> None:
    content = manifest(m1=module("flaky:1"))
    flaky = ImageBehaviour(exits_after=7, exit_code=1)
    jumping = running(content, {"flaky:1": flaky})
    ticking = running(content, {"flaky:1": flaky})
    jumping.until(900)
    for second in range(61, 901):
        ticking.until(second)
    assert [(change.at, change.reported_patch) for change in jumping.changes] == [
        (change.at, change.reported_patch) for change in ticking.changes
    ]


def test_a_device_that_the_hub_does_not_know_reports_nothing_and_goes_on() -> None:
    device = running(manifest(m1=module("vision:1")))
    device.registry.delete("edge-1")
    assert device.until(120) == []
    device.agent.shut_down(device.at(121))
    assert device.registry.get("edge-1") is None
