"""Apps that load, and apps that do not."""

import os
import sys
from pathlib import Path

import pytest
from sample_hosts import SAMPLE_APP, StartHost

from local.host import AppLoadError, FunctionsHost, MissingSettingError

HEAD = "import azure.functions as func\nimport typing\napp = func.FunctionApp()\n"


def written(folder: Path, code: str) -> Path:
    (folder / "function_app.py").write_text(HEAD + code, "utf-8")
    return folder


async def test_the_functions_of_an_app_are_known_with_their_triggers(start_host: StartHost) -> None:
    host = await start_host()
    assert {name: function.trigger["type"] for name, function in host.functions.items()} == {
        "tick": "timerTrigger",
        "device": "httpTrigger",
        "echo": "httpTrigger",
        "broken": "httpTrigger",
    }
    assert host.functions["tick"].trigger["schedule"] == "0 */5 * * * *"


async def test_settings_are_environment_variables_while_the_host_runs_and_only_then(
    start_host: StartHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLD", "before")
    monkeypatch.delenv("NEW", raising=False)
    path = list(sys.path)
    host = await start_host(settings={"OLD": "while", "NEW": "while"})
    assert (os.environ["OLD"], os.environ["NEW"]) == ("while", "while")
    await host.stop()
    assert os.environ["OLD"] == "before"
    assert "NEW" not in os.environ
    assert sys.path == path


async def test_two_hosts_of_a_process_run_one_after_the_other_each_with_a_fresh_app(start_host: StartHost) -> None:
    first = await start_host()
    loaded = sys.modules["function_app"]
    await first.stop()
    second = await start_host()
    assert sys.modules["function_app"] is not loaded
    assert (await second.run_timer("tick")).ok


async def test_a_second_host_is_refused_while_one_runs(start_host: StartHost) -> None:
    await start_host()
    with pytest.raises(RuntimeError, match="another functions host runs in this process"):
        await start_host()


async def test_an_app_that_does_not_load_is_refused_with_its_traceback_and_leaves_nothing_behind(
    start_host: StartHost, tmp_path: Path
) -> None:
    path = list(sys.path)
    broken = written(tmp_path, "raise OSError('no such thing')\n")
    with pytest.raises(AppLoadError, match=r"(?s)OSError: no such thing.*function_app\.py"):
        await start_host(broken, {"NEW": "x"})
    assert sys.path == path
    assert "NEW" not in os.environ
    await start_host()


async def test_a_parameter_that_azure_refuses_is_refused_here_too(start_host: StartHost, tmp_path: Path) -> None:
    code = "@app.timer_trigger(arg_name='timer', schedule='0 0 0 * * *')\ndef tick(timer, more=1): ...\n"
    with pytest.raises(AppLoadError, match="cannot load the tick function"):
        await start_host(written(tmp_path, code))


async def test_a_folder_without_an_app_is_refused(start_host: StartHost, tmp_path: Path) -> None:
    with pytest.raises(AppLoadError, match=r"no function in function_app\.py"):
        await start_host(tmp_path)


async def test_a_binding_that_this_host_does_not_serve_is_refused(start_host: StartHost, tmp_path: Path) -> None:
    code = "@app.queue_trigger(arg_name='msg', queue_name='q', connection='C')\ndef work(msg): ...\n"
    with pytest.raises(AppLoadError, match="function work: this host does not support queueTrigger"):
        await start_host(written(tmp_path, code))


async def test_an_event_hub_function_that_does_not_take_many_binary_events_is_refused(
    start_host: StartHost, tmp_path: Path
) -> None:
    code = (
        "@app.event_hub_message_trigger(arg_name='event', event_hub_name='h', connection='Events')\n"
        "def take(event): ...\n"
    )
    with pytest.raises(AppLoadError, match="not MANY and BINARY"):
        await start_host(written(tmp_path, code), {"Events": "Endpoint=sb://localhost:1"})


@pytest.mark.parametrize("schedule", ["every day", "0 0 0 30 2 *"])
async def test_a_timer_that_cannot_fire_is_refused(start_host: StartHost, tmp_path: Path, schedule: str) -> None:
    code = f"@app.timer_trigger(arg_name='timer', schedule={schedule!r})\ndef tick(timer): ...\n"
    with pytest.raises(AppLoadError, match="function tick: schedule "):
        await start_host(written(tmp_path, code))


async def test_a_route_that_this_host_does_not_know_is_refused(start_host: StartHost, tmp_path: Path) -> None:
    code = "@app.route('a/{id:int}')\ndef number(req): ...\n"
    with pytest.raises(AppLoadError, match=r"function number: route segment '\{id:int\}'"):
        await start_host(written(tmp_path, code))


async def test_a_missing_setting_is_named_with_the_function_that_needs_it(tmp_path: Path) -> None:
    host = FunctionsHost(SAMPLE_APP, {"HUB": "twins", "Events": "x"}, data_dir=tmp_path)
    with pytest.raises(MissingSettingError, match="function tick needs the app setting 'SCHEDULE'"):
        await host.start()


async def test_a_missing_connection_is_named_with_both_settings_that_would_do(tmp_path: Path) -> None:
    host = FunctionsHost(SAMPLE_APP, {"HUB": "twins", "SCHEDULE": "01:00:00"}, data_dir=tmp_path)
    with pytest.raises(MissingSettingError, match=r"collect needs .*'Events' or 'Events__fullyQualifiedNamespace'"):
        await host.start()


async def test_an_identity_connection_asks_for_a_credential(start_host: StartHost) -> None:
    settings = {"HUB": "twins", "Events__fullyQualifiedNamespace": "localhost:1"}
    with pytest.raises(AppLoadError, match="localhost:1 needs a credential"):
        await start_host(SAMPLE_APP, settings)


async def test_a_host_json_that_starts_to_read_elsewhere_is_refused(start_host: StartHost, tmp_path: Path) -> None:
    code = "@app.timer_trigger(arg_name='timer', schedule='01:00:00')\ndef tick(timer): ...\n"
    text = '{"extensions": {"eventHubs": {"initialOffsetOptions": {"type": "fromEnd"}}}}'
    (tmp_path / "host.json").write_text(text, "utf-8")
    with pytest.raises(ValueError, match="this host only supports 'fromStart'"):
        await start_host(written(tmp_path, code))
