"""When two image references mean the same image."""

import pytest

from status_core.images import normalise, same_image


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("nginx", "nginx:latest"),
        ("nginx:1.27", "nginx:1.27"),
        (" nginx:1.27 \n", "nginx:1.27"),
        ("registry.example:5000/team/m1", "registry.example:5000/team/m1:latest"),
        ("registry.example:5000/team/m1:2", "registry.example:5000/team/m1:2"),
        ("registry.example/m1@sha256:ab", "registry.example/m1@sha256:ab"),
        ("m1@digest", "m1@digest"),
        ("registry.example/team:a/m1", "registry.example/team:a/m1:latest"),
        ("registry.example/:2", "registry.example/:2"),
        ("", ":latest"),
    ],
)
def test_a_reference_without_tag_and_digest_gets_the_tag_latest(written: str, normalised: str) -> None:
    assert normalised == normalise(written)


@pytest.mark.parametrize(
    ("desired", "reported"),
    [
        ("m1", "m1:latest"),
        (" registry.example/m1:1 ", "registry.example/m1:1"),
        ("r:5000/m1", "r:5000/m1:latest"),
        ("r/m1@sha256:ab", "r/m1@sha256:ab"),
        ("$upstream:443/m1:1", "parent.example:443/m1:1"),
        (" $upstream:443/m1", "10.0.0.4:443/m1:latest"),
        ("$upstream:443/m1:1", "$upstream:443/m1:1"),
        (None, None),
        ("", ""),
    ],
)
def test_what_the_agent_rewrites_is_the_same_image(desired: str | None, reported: str | None) -> None:
    assert same_image(desired, reported)


@pytest.mark.parametrize(
    ("desired", "reported"),
    [
        ("m1:1", "m1:2"),
        ("m1", "m1:1"),
        ("M1:1", "m1:1"),
        ("nginx", "docker.io/library/nginx:latest"),
        ("r/m1@sha256:ab", "r/m1@sha256:cd"),
        ("r/m1:1", "r/m1@sha256:ab"),
        ("$upstream:443/m1:1", "parent.example:8443/m1:1"),
        ("$upstream:443/m1:1", "parent.example:443/m1:2"),
        ("parent.example:443/m1:1", "$upstream:443/m1:1"),
        ("$upstream/m1:1", "parent.example/m1:1"),
        (None, "m1"),
        ("m1", None),
        ("", None),
    ],
)
def test_another_tag_digest_port_or_case_is_another_image(desired: str | None, reported: str | None) -> None:
    assert not same_image(desired, reported)
