"""How long a module may be unsettled: by its reason, its label, its name, its image, or by default."""

from datetime import timedelta
from typing import Any

import pytest
from twins import ASKED, module

from status_core import GracePolicy
from status_core.grace import grace_label

LABELLED = '{"HostConfig": {}, "Labels": {"deployment-status.grace": "PT1H"}}'
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
POLICY = GracePolicy(
    default=timedelta(minutes=5),
    periods={
        "m1": MINUTE,
        "registry.example/": 2 * MINUTE,
        "registry.example/vision/": 3 * MINUTE,
        "reason:pull_timed_out": 4 * MINUTE,
    },
)


@pytest.mark.parametrize(
    ("name", "image", "label", "reason", "grace", "source"),
    [
        ("m1", "registry.example/vision/m1:1", HOUR, "pull_timed_out", 4 * MINUTE, "reason:pull_timed_out"),
        ("m1", "registry.example/vision/m1:1", HOUR, "backoff", HOUR, "label"),
        ("m1", "registry.example/vision/m1:1", None, "backoff", MINUTE, "m1"),
        ("m2", "registry.example/vision/m2:1", None, "backoff", 3 * MINUTE, "registry.example/vision/"),
        ("m2", " registry.example/vision/m2:1", None, "backoff", 3 * MINUTE, "registry.example/vision/"),
        ("m2", "registry.example/m2:1", None, "backoff", 2 * MINUTE, "registry.example/"),
        ("m2", "other.example/m2:1", None, "backoff", timedelta(minutes=5), "default"),
        ("m2", None, None, "backoff", timedelta(minutes=5), "default"),
        ("m2", None, timedelta(), "backoff", timedelta(), "label"),
    ],
)
def test_the_reason_wins_then_the_label_then_the_name_then_the_longest_prefix_then_the_default(  # noqa: PLR0913, PLR0917
    name: str, image: str | None, label: timedelta | None, reason: str, grace: timedelta, source: str
) -> None:
    assert POLICY.grace(name, image, label, reason) == (grace, source)


def test_without_settings_everything_has_fifteen_minutes() -> None:
    policy = GracePolicy()
    assert policy.grace("m1", "m1:1", None, "backoff") == (timedelta(minutes=15), "default")
    assert policy.stable_after == timedelta(seconds=60)
    assert policy.intensive_care == timedelta(minutes=10)
    assert policy.hopeless == timedelta(minutes=2)


def test_a_label_is_read_from_create_options_in_one_part_or_in_several() -> None:
    assert grace_label({"createOptions": LABELLED}) == HOUR
    for cut in range(len(LABELLED)):
        parts = {"image": "m1", "createOptions01": LABELLED[cut:], "createOptions": LABELLED[:cut]}
        assert grace_label(parts) == HOUR
    assert grace_label({"createoptions": LABELLED[:20], "CREATEOPTIONS01": LABELLED[20:]}) == HOUR
    assert module({f"{ASKED}.settings.createOptions": LABELLED}).grace == HOUR


@pytest.mark.parametrize(
    "options",
    [
        "",
        "{}",
        '{"Labels": {"other": "PT1H"}}',
        '{"Labels": {"deployment-status.grace": "soon"}}',
        '{"Labels": {"deployment-status.grace": "P99999W"}}',
        '{"Labels": {"deployment-status.grace": 60}}',
        '{"Labels": ["deployment-status.grace"]}',
        '{"deployment-status.grace": "PT1H"}',
        '"deployment-status.grace"',
        '{"Labels": {"deployment-status.grace": "PT1H"}',
        '"deployment-status.grace"' + "[" * 100_000,
        "deployment-status.grace" + "1" * 10_000,
        None,
        5,
        {"Labels": {"deployment-status.grace": "PT1H"}},
    ],
    ids=lambda value: str(value)[:40],
)
def test_create_options_without_a_duration_in_the_label_ask_for_nothing(options: Any) -> None:
    assert grace_label({"createOptions": options}) is None
    assert module({f"{ASKED}.settings.createOptions": options}).grace is None
