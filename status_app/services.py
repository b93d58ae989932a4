"""Assembles the app: clients are created once, at the first invocation that needs them."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from azure.data.tables.aio import TableClient

from status_app.events.outbox import LeftForTheApp, Outbox
from status_app.events.publisher import TransitionPublisher
from status_app.fleet_index import lookups
from status_app.fleet_index.former import FormerIndex
from status_app.fleet_index.lookups import FleetIndex
from status_app.fleet_index.peers import PeerRows
from status_app.fleet_index.projection import FleetProjection
from status_app.ingest import dead_letters
from status_app.ingest.dead_letters import DeadLetters
from status_app.ingest.partitions import Partitions
from status_app.iothub.breaker import TwinBreaker, TwinSource
from status_app.iothub.budget import Budget, Share
from status_app.iothub.cohorts import CohortReader
from status_app.iothub.paced_twins import PacedTwins
from status_app.iothub.twins import TwinReader
from status_app.notify import notice_rows
from status_app.notify.causes import CauseNews
from status_app.notify.delivery import Delivery
from status_app.notify.events import EventNews
from status_app.notify.minute import NoticeRun
from status_app.notify.notice_rows import NoticeRows
from status_app.notify.notices import TargetState
from status_app.notify.targets import Target, read_targets
from status_app.notify.webhook import Webhooks
from status_app.queries import Fleet
from status_app.queries.exposition import Exposition
from status_app.queries.health import Health
from status_app.queries.pages import IndexedDevices
from status_app.reconcile.cohort_refresh import CohortRefresh, RefreshRows
from status_app.reconcile.comparison import Comparison
from status_app.reconcile.flag_stuck import FlagStuck
from status_app.reconcile.index_build import IndexBuild
from status_app.reconcile.peer_count import PeerCount
from status_app.reconcile.reconciler import Reconciler
from status_app.reconcile.resync import Resync
from status_app.reconcile.resync_position import ResyncPosition
from status_app.reconcile.resync_times import ResyncTimesRow
from status_app.reconcile.twin_changes import TwinChanges
from status_app.rollouts import deployment_rows
from status_app.rollouts.deployment_rows import DeploymentRows
from status_app.rollouts.deployments import Deployments
from status_app.rollouts.hub_list import HubList, ListSource
from status_app.service_clock import ServiceClock
from status_app.settings import Settings
from status_app.status_table import reader
from status_app.status_table.commit import DeviceCommit
from status_app.status_table.reader import DeviceReader
from status_app.storage.app_settings import keep_settings, read_settings
from status_app.storage.client import table_errors, table_service
from status_app.storage.cohort_values import CohortValues
from status_app.storage.heartbeats import Heartbeats
from status_app.telemetry.exporter import azure_monitor


@dataclass(frozen=True, slots=True)
class _Parts:
    flag_stuck: FlagStuck
    resync: Resync
    reconciler: Reconciler
    dead_letters: DeadLetters
    event_news: EventNews
    notices: NoticeRun


class Services:
    """What the functions call."""

    def __init__(  # noqa: PLR0913 (all but the settings keyword-only)
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] | None = None,
        twins: TwinSource | None = None,
        deployments: ListSource | None = None,
        budget: Budget | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        ticks: Callable[[], float] | None = None,
        targets: Sequence[Target] = (),
        webhooks: Webhooks | None = None,
        is_command: bool = False,
    ) -> None:
        """Prepare clients; nothing is connected yet.

        Args:
            settings: The app's settings.
            clock: Returns the time in UTC; by default that of the services. A ServiceClock learns from their answers.
            twins: The source of twins; by default the hub of the settings.
            deployments: The source of the hub's list; by default that hub, or none if `twins` is given.
            budget: How often the hub may be asked; by default that of the settings.
            sleep: Waits that many seconds between two attempts to reach a service.
            ticks: Seconds that never run back, for the deadlines of runs; by default the machine's, or those of `clock`
                if given.
            targets: The targets of notices.
            webhooks: Sends notices; by default it refuses addresses on this machine.
            is_command: A person runs it next to the app: it leaves events for the app to send, trims no history, and
                does not store its settings.
        """
        self._is_command = is_command
        self._settings = settings
        self._clock = clock or ServiceClock()
        self._sleep = sleep
        learning = self._clock if isinstance(self._clock, ServiceClock) else None
        self._service = table_service(settings.tables, learning)
        reads, queries = settings.twin_reads_per_second, settings.twin_queries_per_minute
        self._ticks = ticks or (time.monotonic if clock is None else lambda: self._clock().timestamp())
        self._budget = budget or Budget(reads, queries, clock=self._ticks, sleep=sleep)
        self._partitions = Partitions(settings.twin_changes, self._ticks)
        self._hub = twins or TwinReader(settings.iot_hub, sleep=sleep, hub_clock=learning)
        self._list = deployments or (self._hub if isinstance(self._hub, TwinReader) else None)
        self._twins = TwinBreaker(self._hub, self._ticks)
        transitions = settings.transitions
        self._publisher = TransitionPublisher(*transitions, sleep=sleep) if transitions else None
        self._targets = targets
        self._webhooks = webhooks or Webhooks(sleep=sleep)
        self._exporter = azure_monitor() if settings.sends_metrics else None
        self._parts: _Parts | None = None
        self._fleet: Fleet | None = None
        self.heartbeats = Heartbeats(self._service.get_table_client(lookups.TABLE), self._clock)
        self.health = Health(
            self.heartbeats,
            settings.schedules,
            self._clock,
            self._target_states,
            hub=settings.hub,
            fleet=settings.fleet,
        )
        self.exposition = Exposition(
            IndexedDevices(
                FleetIndex(self._service.get_table_client(lookups.TABLE)),
                DeviceReader(self._service.get_table_client(reader.TABLE)),
                self._clock,
            ),
            self.deployment_rows(),
            self.heartbeats,
            self._service.get_table_client(dead_letters.TABLE),
            self._target_states,
            (settings.hub, settings.fleet),
            self._clock,
        )

    async def twin_changes(self) -> TwinChanges:
        """Return the handler of twin changes."""
        parts = await self._made()

        def reconciler_of(partition_id: str) -> Reconciler:
            async def share() -> Share:
                return self._budget.partition(partition_id, await self._partitions.count())

            return parts.reconciler.reading(PacedTwins(self._twins, share))

        return TwinChanges(reconciler_of, parts.dead_letters, self._clock, self._ticks)

    async def flag_stuck(self) -> FlagStuck:
        """Return the timer of deadlines and unsent events."""
        return (await self._made()).flag_stuck

    async def resync(self) -> Resync:
        """Return the timer of the whole fleet."""
        return (await self._made()).resync

    async def event_news(self) -> EventNews:
        """Return the handler of the app's own events."""
        return (await self._made()).event_news

    async def send_notices(self) -> None:
        """Create and send notices, as part of the minute's timer; nothing without targets."""
        if self._targets:
            await (await self._made()).notices.run()

    async def reconciler(self) -> Reconciler:
        """Return the reconciler, which reads twins at the pace of resync."""
        return (await self._made()).reconciler

    def fleet(self) -> Fleet:
        """Return the queries of the fleet. No table is created."""
        if self._fleet is None:
            self._fleet = Fleet(self._service, self._clock)
        return self._fleet

    def dead_letters(self) -> DeadLetters:
        """Return the dead letters. No table is created."""
        return DeadLetters(self._service.get_table_client(dead_letters.TABLE))

    def deployment_rows(self) -> DeploymentRows:
        """Return the rows of deployments."""
        return DeploymentRows(self._service.get_table_client(deployment_rows.TABLE))

    async def settings_of_the_app(self) -> tuple[str, dict[str, str]] | None:
        """Read the app's hub and shared settings from the tables; None if they are not there."""
        return await read_settings(self._service.get_table_client(deployment_rows.TABLE))

    async def close(self) -> None:
        """Close every client."""
        await self._service.close()
        await self._webhooks.close()
        if self._publisher is not None:
            await self._publisher.close()
        if isinstance(self._hub, TwinReader):
            self._hub.close()
        if self._exporter is not None:
            await asyncio.to_thread(self._exporter.close)

    async def _target_states(self) -> dict[str, TargetState]:
        rows = NoticeRows(self._service.get_table_client(notice_rows.TABLE))
        return await rows.states(target.name for target in self._targets)

    async def _made(self) -> _Parts:
        """Return the parts, created once. Missing tables are created."""
        if self._parts is None:
            settings = self._settings
            index_table, status_table = await self._table(lookups.TABLE), await self._table(reader.TABLE)
            index, devices = FleetIndex(index_table), DeviceReader(status_table)
            deployments_table = await self._table(deployment_rows.TABLE)
            rows = DeploymentRows(deployments_table)
            publisher, policy, hub = self._publisher, settings.policy, settings.hub
            outbox = LeftForTheApp() if self._is_command else Outbox(publisher, self._clock) if publisher else None
            history_limit = None if self._is_command else settings.history_limit
            commit = DeviceCommit(status_table, hub=hub, policy=policy, history_limit=history_limit)
            if not self._is_command:
                await keep_settings(deployments_table, hub, settings.shared)
            projection, former = FleetProjection(index_table, self._sleep), FormerIndex(index_table)
            twins, cohorts, refresh_rows = self._paced(self._budget.resync), None, RefreshRows(index_table)
            if settings.cohort_tags:
                values = CohortValues(deployments_table)
                cohorts = CohortReader(settings.cohort_tags, twins, values, refresh_rows.leave)
            hub_list = HubList(rows, self._list, self._clock)
            reconciler = Reconciler(
                devices, commit, projection, former, outbox, twins, policy, hub_list, self._clock, cohorts
            )
            due_reconciler = reconciler.reading(self._paced(self._budget.flag_stuck))
            refresh = CohortRefresh(refresh_rows, index, cohorts, reconciler, self._clock)
            build = IndexBuild(index_table, projection, rows, devices, reconciler, self._clock)
            peers = PeerRows(index_table)
            peer_count = PeerCount(peers, index, self._clock)
            deployments = Deployments(rows, index, devices, publisher, policy, hub_list, hub=hub, clock=self._clock)
            indexed = IndexedDevices(index, devices, self._clock)
            notices, name = NoticeRows(await self._table(notice_rows.TABLE)), settings.fleet
            delivery = Delivery(notices, self._webhooks, name, self._clock, self._ticks)
            causes = CauseNews(notices, indexed, peers, rows, hub, self._clock)
            position, ticks = ResyncPosition(index_table), self._ticks
            times = ResyncTimesRow(index_table, settings.shared)
            comparison = Comparison(index, times, reconciler, twins, self._clock)
            self._parts = _Parts(
                FlagStuck(
                    index, build, deployments, outbox, due_reconciler, self._twins, self._clock, ticks, peer_count
                ),
                Resync(index, build, position, times, reconciler, twins, comparison, self._clock, ticks, refresh),
                reconciler,
                DeadLetters(await self._table(dead_letters.TABLE)),
                EventNews(delivery, self._targets, self._clock),
                NoticeRun(causes, delivery, self._targets, lambda: build.is_done, ticks),
            )
        return self._parts

    def _paced(self, share: Share) -> PacedTwins:
        async def given() -> Share:
            return share

        return PacedTwins(self._twins, given)

    async def _table(self, name: str) -> TableClient:
        with table_errors():
            await self._service.create_table_if_not_exists(name)
        return self._service.get_table_client(name)


_services: Services | None = None


def services(environment: Mapping[str, str] = os.environ) -> Services:
    """Return the single set of services of this process.

    Raises:
        SettingError: A setting is missing or wrong.
    """
    global _services  # noqa: PLW0603 (clients live as long as the process, one set of them)
    if _services is None:
        _services = Services(Settings.read(environment), targets=read_targets(environment))
    return _services


def use(chosen: Services) -> None:
    """Use these services for the process. A host with its own clock calls this before the app starts."""
    global _services  # noqa: PLW0603 (as above)
    _services = chosen
