"""News of causes for people, found each minute: what the index counts, compared with the messages before.

One message once devices fail for a cause for a minute, one when they are ten times as many as when it was mentioned
last, one when there has been none for a minute. A message and the record that there is one are written together, so it
is neither lost nor made twice.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from status_app.errors import LostRaceError
from status_app.events.severity import transition_severity
from status_app.fleet_index.leading_cause import cause_id
from status_app.fleet_index.lookups import Counted
from status_app.notify.notes import Stage, cause_notice
from status_app.notify.notice_rows import AboutCause, Notice, NoticeRows, ToldCause
from status_app.notify.targets import CAUSE, Target
from status_app.queries.answers import readable
from status_app.queries.causes import one_cause
from status_app.queries.pages import IndexedDevices
from status_app.rollouts.deployment_rows import DeploymentRows, StoredDeployment
from status_app.storage.codecs import show_time
from status_app.telemetry.logs import log
from status_core import Kind, State

LASTS: Final = timedelta(minutes=1)
"""How long devices fail, or none does, before there is a message."""
TENFOLD: Final = 10

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class Failing:
    """Devices that fail for one cause now."""

    about: AboutCause
    devices: int


class CauseNews:
    """Compares causes with what people were told."""

    def __init__(
        self,
        rows: NoticeRows,
        indexed: IndexedDevices,
        deployments: DeploymentRows,
        hub: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._rows = rows
        self._indexed = indexed
        self._deployments = deployments
        self._hub = hub
        self._clock = clock

    async def tell(self, targets: Sequence[Target]) -> None:
        """Make the messages that are due, for each target; sending them is the work of others.

        Raises:
            UnavailableError: The table service does not answer.
        """
        if not targets:
            return
        deployments, *_ = await self._deployments.read()
        versions = dict(readable(deployments, _version, lambda stored: f"deployment {stored.deployment!r}"))
        unread = {stored.deployment for stored in deployments} - versions.keys()
        failing = await self._failing(targets, versions)
        for target in targets:
            told = await self._rows.told(target.name)
            mine = {found.about.key: found for found in failing if _is_for(target, found.about)}
            # Of a deployment whose version nobody can read, nothing begins and nothing is over.
            for key in (key for key, about in _abouts(told, mine).items() if about.deployment not in unread):
                try:
                    await self._compare(target, mine.get(key), told.get(key))
                except LostRaceError:
                    _log.info("target %s: another run has told of a cause", target.name)

    async def _failing(self, targets: Sequence[Target], versions: Mapping[str, int]) -> list[Failing]:
        """The causes of every deployment that has any, of all devices and of each cohort that is asked for."""
        others = await self._indexed.beyond_counters()
        cohorts = {""} | {cohort for target in targets for cohort in target.filter.cohorts}
        counted = [item for cohort in sorted(cohorts) for item in await self._indexed.index.counters(cohort=cohort)]
        return _failing([*counted, *others], versions)

    async def _compare(self, target: Target, now_failing: Failing | None, told: ToldCause | None) -> None:
        now = self._clock()
        if told is None:
            assert now_failing is not None  # noqa: S101 (one of the two is there)
            await self._rows.tell(target.name, ToldCause(now_failing.about, now), None)
        elif now_failing is None:
            await self._none_fails(target, told, now)
        else:
            await self._some_fail(target, now_failing, told, now)

    async def _none_fails(self, target: Target, told: ToldCause, now: datetime) -> None:
        if not told.told or not _is_for(target, told.about):  # a filter may have changed
            await self._rows.tell(target.name, told, None, is_over=True)
        elif told.gone_at is None:
            await self._rows.tell(target.name, replace(told, gone_at=now), None)
        elif now - told.gone_at >= LASTS:
            said = {"devices": 0, "since": show_time(told.gone_at)}
            notice = self._notice(target, told, Stage.OVER, said, now)
            await self._rows.tell(target.name, told, notice, is_over=True)

    async def _some_fail(self, target: Target, failing: Failing, told: ToldCause, now: datetime) -> None:
        if not told.told and now - told.seen_at >= LASTS:
            stage = Stage.FIRST
        elif told.told and failing.devices >= TENFOLD * told.told_devices:
            stage = Stage.MORE
        else:
            if told.gone_at is not None:
                await self._rows.tell(target.name, replace(told, gone_at=None), None)
            return
        said = {"devices": failing.devices, **await self._words(failing.about)}
        notice = self._notice(target, told, stage, said, now)
        after = replace(told, gone_at=None, told=told.told + 1, told_devices=failing.devices)
        await self._rows.tell(target.name, after, notice)

    async def _words(self, about: AboutCause) -> Mapping[str, Any]:
        """What the API says of a cause."""
        found = await one_cause(self._indexed, about.cause, about.deployment, about.cohort or None)
        examples = [example["deviceId"] for example in found["examples"]]
        return {"examples": examples, **{name: found[name] for name in ("since", "message", "advice")}}

    def _notice(self, target: Target, told: ToldCause, stage: Stage, said: Mapping[str, Any], now: datetime) -> Notice:
        about, began = told.about, told.seen_at.strftime("%Y%m%dT%H%M%S%fZ")
        place = "/".join((about.deployment, str(about.version), about.cohort or "-", cause_id(about.cause), began))
        news_id = f"{self._hub}/causes/{place}/{target.name}/{told.told + 1}"
        data = {
            "deployment": about.deployment,
            "version": about.version,
            "cohort": about.cohort,
            "cause": about.cause,
            "stage": stage,
            "before": told.told_devices,
            **said,
        }
        body = cause_notice(news_id, show_time(now), _severity(about.cause), data)
        return Notice(news_id, body, now, now, now)


def _version(stored: StoredDeployment) -> tuple[str, int]:
    """A deployment with its version; 0 before its first count."""
    rollout = stored.rollout
    return stored.deployment, 0 if rollout is None else rollout.version


def _abouts(told: Mapping[str, ToldCause], failing: Mapping[str, Failing]) -> dict[str, AboutCause]:
    return {key: known.about for key, known in told.items()} | {key: found.about for key, found in failing.items()}


def _failing(counted: Iterable[Counted], versions: Mapping[str, int]) -> list[Failing]:
    """Devices that are stuck or whose manifest is rejected, by deployment, cohort and cause."""
    devices = defaultdict[AboutCause, int](int)
    for item in counted:
        if item.deployment and item.cause and (item.is_stuck or item.state == State.INVALID):
            about = AboutCause(item.deployment, versions.get(item.deployment, 0), item.cohort, item.cause)
            devices[about] += item.devices
    return [Failing(about, number) for about, number in devices.items()]


def _severity(cause: str) -> str:
    """How much it matters that devices are stuck for a cause."""
    return transition_severity(Kind.STUCK, "", cause.partition(":")[0])


def _is_for(target: Target, about: AboutCause) -> bool:
    wanted = target.filter
    is_known = about.cohort in (wanted.cohorts or ("",)) and wanted.names(about.deployment)
    return is_known and wanted.takes(CAUSE, _severity(about.cause))
