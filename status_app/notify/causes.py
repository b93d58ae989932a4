"""Notices about causes for people, found each minute by comparing the index with earlier notices.

One notice once devices have failed for a cause for a minute, one when they are ten times as many as in the last
notice, one when none has failed for a minute. A notice and its record are written together, so it is neither lost nor
made twice.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from status_app.errors import LostRaceError
from status_app.events.severity import transition_severity
from status_app.fleet_index.entries import DeviceGroup
from status_app.fleet_index.leading_cause import cause_id
from status_app.fleet_index.peers import PeerRows
from status_app.notify.notes import Stage, cause_notice
from status_app.notify.notice_rows import NoticeRows
from status_app.notify.notices import AboutCause, CauseRecord, Notice
from status_app.notify.targets import CAUSE, Target
from status_app.queries.answers import readable
from status_app.queries.causes import one_cause
from status_app.queries.pages import IndexedDevices
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.rollouts.stored_deployment import StoredDeployment
from status_app.storage.codecs import show_time
from status_app.telemetry.logs import log
from status_core import Kind, State

LASTS: Final = timedelta(minutes=1)
"""How long devices must fail, or not fail, before there is a notice."""
TENFOLD: Final = 10

_log = log(__name__)


@dataclass(frozen=True, slots=True)
class Failing:
    """Devices that fail for one cause now."""

    about: AboutCause
    devices: int


class CauseNews:
    """Compares causes with earlier notices."""

    def __init__(  # noqa: PLR0913, PLR0917 (sources, hub and clock)
        self,
        rows: NoticeRows,
        indexed: IndexedDevices,
        peers: PeerRows,
        deployments: DeploymentRows,
        hub: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._rows = rows
        self._indexed = indexed
        self._peers = peers
        self._deployments = deployments
        self._hub = hub
        self._clock = clock

    async def announce(self, targets: Sequence[Target]) -> None:
        """Create the notices that are due for each target. They are sent elsewhere.

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
            known = await self._rows.causes(target.name)
            mine = {found.about.key: found for found in failing if _is_for(target, found.about)}
            # If a deployment's version cannot be read, nothing begins and nothing ends for it.
            for key in (key for key, about in _abouts(known, mine).items() if about.deployment not in unread):
                try:
                    await self._compare(target, mine.get(key), known.get(key))
                except LostRaceError:
                    _log.info("target %s: another run has announced a cause", target.name)

    async def _failing(self, targets: Sequence[Target], versions: Mapping[str, int]) -> list[Failing]:
        """Read the causes of every deployment, over all devices and by each cohort that a target asks for."""
        others = await self._indexed.overflow_counters()
        cohorts = {""} | {cohort for target in targets for cohort in target.filter.cohorts}
        counted = [item for cohort in sorted(cohorts) for item in await self._indexed.index.counters(cohort=cohort)]
        return _failing([*counted, *others], versions)

    async def _compare(self, target: Target, now_failing: Failing | None, record: CauseRecord | None) -> None:
        now = self._clock()
        if record is None:
            assert now_failing is not None  # noqa: S101 (one of the two is there)
            await self._rows.keep_cause(target.name, CauseRecord(now_failing.about, now), None)
        elif now_failing is None:
            await self._none_fails(target, record, now)
        else:
            await self._some_fail(target, now_failing, record, now)

    async def _none_fails(self, target: Target, record: CauseRecord, now: datetime) -> None:
        if not record.notices or not _is_for(target, record.about):  # a filter may have changed
            await self._rows.keep_cause(target.name, record, None, is_over=True)
        elif record.gone_at is None:
            await self._rows.keep_cause(target.name, replace(record, gone_at=now), None)
        elif now - record.gone_at >= LASTS:
            details = {"devices": 0, "since": show_time(record.gone_at)}
            notice = self._notice(target, record, Stage.OVER, details, now)
            await self._rows.keep_cause(target.name, record, notice, is_over=True)

    async def _some_fail(self, target: Target, failing: Failing, record: CauseRecord, now: datetime) -> None:
        if not record.notices and now - record.seen_at >= LASTS:
            stage = Stage.FIRST
        elif record.notices and failing.devices >= TENFOLD * record.noticed_devices:
            stage = Stage.MORE
        else:
            if record.gone_at is not None:
                await self._rows.keep_cause(target.name, replace(record, gone_at=None), None)
            return
        details = {"devices": failing.devices, **await self._words(failing.about)}
        notice = self._notice(target, record, stage, details, now)
        after = replace(record, gone_at=None, notices=record.notices + 1, noticed_devices=failing.devices)
        await self._rows.keep_cause(target.name, after, notice)

    async def _words(self, about: AboutCause) -> Mapping[str, Any]:
        """Read the cause as the API shows it."""
        found = await one_cause(self._indexed, self._peers, about.cause, about.deployment, about.cohort or None)
        examples = [example["deviceId"] for example in found["examples"]]
        peers = (found["peers"] or {}).get("says")
        return {"examples": examples, "peers": peers, **{name: found[name] for name in ("since", "message", "advice")}}

    def _notice(
        self, target: Target, record: CauseRecord, stage: Stage, details: Mapping[str, Any], now: datetime
    ) -> Notice:
        about, began = record.about, record.seen_at.strftime("%Y%m%dT%H%M%S%fZ")
        place = "/".join((about.deployment, str(about.version), about.cohort or "-", cause_id(about.cause), began))
        news_id = f"{self._hub}/causes/{place}/{target.name}/{record.notices + 1}"
        data = {
            "deployment": about.deployment,
            "version": about.version,
            "cohort": about.cohort,
            "cause": about.cause,
            "stage": stage,
            "before": record.noticed_devices,
            **details,
        }
        body = cause_notice(news_id, show_time(now), _severity(about.cause), data)
        return Notice(news_id, body, now, now, now)


def _version(stored: StoredDeployment) -> tuple[str, int]:
    """Return a deployment with its version; 0 before its first count."""
    rollout = stored.rollout
    return stored.deployment, 0 if rollout is None else rollout.version


def _abouts(known: Mapping[str, CauseRecord], failing: Mapping[str, Failing]) -> dict[str, AboutCause]:
    return {key: record.about for key, record in known.items()} | {key: found.about for key, found in failing.items()}


def _failing(counted: Iterable[DeviceGroup], versions: Mapping[str, int]) -> list[Failing]:
    """Group devices that are stuck or rejected their manifest by deployment, cohort and cause."""
    devices = defaultdict[AboutCause, int](int)
    for item in counted:
        if item.deployment and item.cause and (item.is_stuck or item.state == State.INVALID):
            about = AboutCause(item.deployment, versions.get(item.deployment, 0), item.cohort, item.cause)
            devices[about] += item.devices
    return [Failing(about, number) for about, number in devices.items()]


def _severity(cause: str) -> str:
    """Return the severity of devices that are stuck for a cause."""
    return transition_severity(Kind.STUCK, "", cause.partition(":")[0])


def _is_for(target: Target, about: AboutCause) -> bool:
    wanted = target.filter
    is_known = about.cohort in (wanted.cohorts or ("",)) and wanted.names(about.deployment)
    return is_known and wanted.takes(CAUSE, _severity(about.cause))
