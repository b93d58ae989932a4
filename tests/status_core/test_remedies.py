"""The remedies: for every reason, in commands that exist."""

import re
import shlex

import pytest

from status_core.reasons import UNVERIFIED, Reason
from status_core.remedies import REMEDIES, steps

AZ = {
    "az iot hub device-identity show": {"--hub-name", "--device-id"},
    "az iot hub device-twin show": {"--hub-name", "--device-id"},
    "az iot hub module-twin show": {"--hub-name", "--device-id", "--module-id"},
    "az iot hub invoke-module-method": {"--hub-name", "--device-id", "--module-id", "--method-name"},
}
"""Commands of azure-iot-cli-extension, with those of their flags that are used."""
ON_THE_DEVICE = {
    "iotedge check", "iotedge list", "iotedge logs", "iotedge restart",
    "iotedge system logs", "iotedge system restart", "iotedge system status",
    "docker image ls", "docker image prune", "docker inspect", "docker manifest inspect", "docker network disconnect",
    "docker network inspect", "docker ps", "docker pull", "docker rm", "docker stop",
    "systemctl restart docker", "systemctl status docker", "df", "ss", "top", "python",
}  # fmt: skip
"""Commands of IoT Edge 1.2 and later, of Docker and of Linux."""
FLAGS = {"--tail", "--all", "--force", "-h", "-tlnp", "-m", "--lint"}
OF_THE_TWIN = {"status", "type", "schemaVersion", "restartPolicy", "registryCredentials", "deployment-status.grace"}
OTHER_WORDS = OF_THE_TWIN | {
    "$edgeAgent", "connectionState", "lastActivityTime", "always", "never", "OOMKilled", "max-size", "toomanyrequests",
}  # fmt: skip


def quoted(reason: Reason) -> list[str]:
    """What stands in backticks in the steps of a reason."""
    found = steps(reason, "DEVICE", "$edgeHub", "registry.example.com/hub:1.5")
    return [text for step in found for text in re.findall(r"`([^`]+)`", step)]


def test_there_is_advice_for_every_reason_and_for_no_other() -> None:
    assert set(REMEDIES) == set(Reason)
    assert all(REMEDIES[reason] and all(step.strip() for step in REMEDIES[reason]) for reason in Reason)


@pytest.mark.parametrize("reason", Reason)
def test_the_steps_are_whole_and_name_commands_that_exist(reason: Reason) -> None:
    for text in quoted(reason):
        assert "{" not in text
        words = [word for word in shlex.split(text) if word != "sudo"]
        flags = {word for word in words if word.startswith("-")}
        name = " ".join(words[: next((n for n, word in enumerate(words) if word.startswith("-")), len(words))])
        if words[0] == "az":
            assert flags <= AZ[name]
        elif text not in OTHER_WORDS:
            assert any(name == known or name.startswith(f"{known} ") for known in ON_THE_DEVICE), text
            assert flags <= FLAGS


def test_a_module_is_named_as_the_device_names_it() -> None:
    assert any("iotedge logs edgeHub" in text for text in quoted(Reason.BACKOFF))


def test_names_are_quoted_for_a_shell() -> None:
    text = "\n".join(steps(Reason.PULL_FAILED, "d", "m", "a:1; reboot"))
    assert "docker pull 'a:1; reboot'" in text
    assert "docker pull IMAGE`" in "\n".join(steps(Reason.PULL_FAILED, "d", "m", None))
    assert "--device-id 'a b$c'" in "\n".join(steps(Reason.WAITING_FOR_DEVICE, "a b$c", "MODULE", None))


def test_a_reason_that_was_not_verified_has_the_advice_of_the_plain_one_and_a_word_on_the_hub() -> None:
    plain = steps(Reason.BACKOFF, "d", "m", None)
    unverified = steps(f"{Reason.BACKOFF}{UNVERIFIED}", "d", "m", None)
    assert unverified[1:] == plain
    assert unverified[0].startswith("The hub did not answer at the last read: ")


def test_a_reason_of_another_release_is_named_as_one() -> None:
    (step,) = steps("brand_new", "d", "m", None)
    assert step.startswith("This release does not know the reason: look for it in docs/states.md")
