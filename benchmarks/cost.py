"""`python -m benchmarks.cost [--devices N] ...`: what a fleet of some size asks of Azure, and what that costs.

The table that it prints without arguments is in docs/tuning.md, which says where the numbers come from.
"""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from status_app.iothub.budget import QUERIES_OF_FLAG_STUCK, QUERIES_OF_RESYNC, READS_OF_A_TIMER
from status_app.iothub.queries import PAGE_SIZE
from status_app.reconcile.decisions import QUERIES_LAG
from status_app.reconcile.index_build import CHECKS
from status_app.reconcile.resync import QUERY_FOR
from status_app.storage.client import PAGE

DAYS: Final = 365 / 12
"""Days of a month, by which all money is counted."""
HOURS: Final = 730
"""Hours of a month, as Azure counts them."""
IDENTITIES_OF_A_HUB: Final = 1_000_000
"""Devices and modules that one IoT hub takes."""
MESSAGE_KB: Final = 4
"""What IoT Hub counts as one message of its daily quota; twin reads and queries count as messages."""
FLAG_STUCK_RUNS: Final = 24 * 60
UPDATES: Final = 50
"""Updates of twins that S1 and S2 take in a second, by devices and by the hub's deployments."""
OUTLINE_KB: Final = 0.22
"""What a query for outlines gives of a device with two configurations."""
RESYNC_RUN: Final = 7
"""Table transactions of a run of resync: its position, its times, how far the check of the index is, its heartbeat."""
CHECKED: Final = 2
"""Of a device in the check of the index: its own row and its summary."""
WEEK: Final = 7
"""Days in which every whole twin is queried once."""

HUB_UNITS: Final = {"S1": (400_000, 25.0), "S2": (6_000_000, 250.0), "S3": (300_000_000, 2_500.0)}
"""Messages a day of a unit, and dollars a month."""
THROUGHPUT_UNIT_HOUR: Final = 0.03
MILLION_EVENTS: Final = 0.028
GB_SECOND: Final = 0.000026
FREE_GB_SECONDS: Final = 100_000
MILLION_EXECUTIONS: Final = 0.40
FREE_EXECUTIONS: Final = 250_000
TABLE_TRANSACTION: Final = 0.00036 / 10_000
TABLE_GB: Final = 0.045
BLOB_WRITE: Final = 0.05 / 10_000
LOG_GB: Final = 2.30
FREE_LOG_GB: Final = 5
ALERTS: Final = 6 * 0.50 + 1.50 + 2 * 0.05 + 2 * 0.10
"""Six rules over logs each 15 minutes, one of them for three functions; one each 5 minutes; one over two metrics."""

F1_MESSAGES: Final = 8_000
"""Messages a day of a hub of the free size."""
F1_MESSAGE_KB: Final = 0.5
"""What such a hub counts as one message."""

CHANGE: Final = 6
"""Table transactions of a change that is published: reads of the device, of what the index says of it and of counters,
and three writes, which announce, commit and project it."""
NEWER_TWIN: Final = 2
"""Of a notification after which the state is the same."""
DEADLINE: Final = 5
"""Of a look when a clock ends: two reads, and three writes as above."""
IDLE_RUN: Final = 34
"""Of a run of flag_stuck with nothing to do: two questions to each of 16 shards, one of them for metrics, one for
deployments, and its heartbeat."""
COUNTING_RUN: Final = 18
"""More of a run that counts: the counters of each of 16 shards, the count of a deployment, and its events."""
PEERS_RUN: Final = 33
"""More of a run that counts peers, at most every ten minutes, where counters moved: the causes and the summaries
of each of 16 shards, and what was counted before. One more for each further thousand devices, and for each cause."""
COUNTED: Final = 3
"""Runs that count for a change: behind it, when its clock ends, and when a milestone is due."""

LOG_RECORD: Final = 900
"""Bytes that Log Analytics counts around the text of a line: an assumption, its columns with ids and names."""
HOST_RECORDS: Final = 3
"""Of an execution, by the functions host: that it begins, that it ended, and the request."""
RUN_LINE: Final = 320
"""Bytes of the app's own line of an execution, a batch or a run of a timer."""
TRANSITION_LINE: Final = 260
"""Bytes of the app's own line of a transition. The SDKs write none: they log warnings alone."""


@dataclass(frozen=True, slots=True)
class Load:
    """A fleet, and the assumptions on it.

    Attributes:
        devices: Size of the fleet.
        resyncs: Runs of resync a day, in each app.
        changes: Changes of a device's state a day, rollouts and failures together.
        notifications: Notifications of IoT Hub for each change; each costs a twin read at most.
        transitions: Events that are published for each change: of the device, and of its modules.
        modules: Modules of a device, beside $edgeAgent and $edgeHub.
        twin_kb: Size of an $edgeAgent twin.
        batch: Events that come in one execution.
        memory_gb: Memory of an instance.
        reads: TWIN_READS_PER_SECOND of each app.
        queries: TWIN_QUERIES_PER_MINUTE of each app.
        history: Transitions that are kept of each device (HISTORY_LIMIT), all of them there.
    """

    devices: int
    resyncs: int = 24
    changes: float = 1.0
    notifications: float = 3.0
    transitions: float = 2.0
    modules: int = 3
    twin_kb: int = 8
    batch: float = 4.0
    memory_gb: float = 2.0
    reads: float = 80.0
    queries: float = 16.0
    history: int = 500


FLEETS: Final = (Load(1_000), Load(100_000), Load(1_000_000, queries=32))


def hubs_of(load: Load) -> int:
    """IoT hubs that a fleet needs: a device has `$edgeAgent`, `$edgeHub` and its modules beside itself."""
    return math.ceil(load.devices * (3 + load.modules) / IDENTITIES_OF_A_HUB)


def usage(load: Load) -> Mapping[str, float]:
    """What a fleet asks for: a day where nothing else is said, all apps together but for the lines of one hub."""
    hubs = hubs_of(load)
    of_one = load.devices / hubs
    changes = load.devices * load.changes
    events = changes * load.notifications
    reads = events + changes  # and a look when the clock of the change ends
    # Of each run what changed since the last one and what the hub's index may have been late with; all once a week.
    overlap = 1 + QUERIES_LAG.total_seconds() * load.resyncs / 86_400
    resynced = changes * overlap + load.devices / WEEK
    outlines = load.devices * math.ceil(PAGE_SIZE * OUTLINE_KB / MESSAGE_KB) / PAGE_SIZE
    pages = (resynced + load.devices) / PAGE_SIZE + load.resyncs * hubs
    reached = QUERIES_OF_RESYNC * load.queries * PAGE_SIZE * QUERY_FOR / 60  # devices of a run
    batches = events / load.batch
    counting = min(FLAG_STUCK_RUNS * hubs, COUNTED * changes)
    transactions = (
        changes * (CHANGE + DEADLINE)
        + (events - changes) * NEWER_TWIN
        + resynced
        + load.devices * (1 / PAGE + CHECKED * load.resyncs / CHECKS)
        + load.resyncs * RESYNC_RUN * hubs
        + FLAG_STUCK_RUNS * IDLE_RUN * hubs
        + counting * COUNTING_RUN
    )
    # A short execution counts as one second; a run of flag_stuck as two; a page of twins as three, the rate of S1.
    seconds = batches + 2 * FLAG_STUCK_RUNS * hubs + 3 * pages
    return {
        "hubs": hubs,
        "events": events,
        "reads": reads,
        "reads a second of one hub": reads / hubs / 86_400,
        "hub hours": of_one * load.notifications / UPDATES / 3_600,
        "rollout hours": of_one * max(load.notifications / _twins_a_second(load), 1 / _looks_a_second(load)) / 3_600,
        "resynced": resynced,
        "resync hours": math.ceil(of_one / reached) * 24 / load.resyncs,
        "messages": (reads + resynced) * math.ceil(load.twin_kb / MESSAGE_KB) + outlines + load.resyncs * hubs,
        "transactions": transactions,
        "executions": batches + (FLAG_STUCK_RUNS + load.resyncs) * hubs,
        "GB-seconds": seconds * load.memory_gb,
        "published": changes * load.transitions,
        "batches": batches,
        "table GB": load.devices * (load.history + load.modules + 2) / 1_000_000,  # rows of about 1 KB
    }


def _twins_a_second(load: Load) -> float:
    """Twins that `on_twin_changes` gets of one hub: by reads, and by queries of a whole batch."""
    queries = (1 - QUERIES_OF_RESYNC - QUERIES_OF_FLAG_STUCK) * load.queries
    return (1 - 2 * READS_OF_A_TIMER) * load.reads + queries * PAGE_SIZE / 60


def _looks_a_second(load: Load) -> float:
    """Devices whose clocks `flag_stuck` ends."""
    queries = QUERIES_OF_FLAG_STUCK * load.queries
    return READS_OF_A_TIMER * load.reads + queries * PAGE_SIZE / 60


def money(load: Load) -> Mapping[str, float]:
    """Dollars a month by service, IoT Hub last: its units serve the fleet itself too."""
    used = usage(load)
    hubs = used["hubs"]
    executions, gb_seconds = used["executions"] * DAYS, used["GB-seconds"] * DAYS
    execution = (HOST_RECORDS + 1) * LOG_RECORD + RUN_LINE
    lines = used["executions"] * execution + used["published"] * (LOG_RECORD + TRANSITION_LINE)
    log_gb = lines * DAYS / 1_000_000_000
    return {
        "Functions": max(0.0, gb_seconds - FREE_GB_SECONDS) * GB_SECOND
        + max(0.0, executions - FREE_EXECUTIONS) / 1e6 * MILLION_EXECUTIONS,
        "Event Hubs": hubs * THROUGHPUT_UNIT_HOUR * HOURS
        + (used["events"] + used["published"]) * DAYS / 1e6 * MILLION_EVENTS,
        "Storage": used["transactions"] * DAYS * TABLE_TRANSACTION
        + used["table GB"] * TABLE_GB
        + used["batches"] * DAYS * BLOB_WRITE,  # the checkpoint of each batch
        "Logs and alerts": max(0.0, log_gb - FREE_LOG_GB) * LOG_GB + hubs * ALERTS,
        "IoT Hub": hubs * units(used["messages"] / hubs)[2],
    }


def units(messages: float) -> tuple[int, str, float]:
    """The cheapest units that take so many messages a day: how many, of which size, dollars a month."""
    offers = [
        (math.ceil(messages / quota), size, math.ceil(messages / quota) * price)
        for size, (quota, price) in HUB_UNITS.items()
    ]
    return min(offers, key=lambda offer: offer[2])


def carried_by_f1(load: Load) -> int:
    """How many devices a hub of the free size carries where `resync` runs once a day, and nothing else uses the hub."""
    one = usage(replace(load, devices=1, resyncs=1))
    twins = (one["reads"] + one["resynced"]) * math.ceil(load.twin_kb / F1_MESSAGE_KB)
    return int(F1_MESSAGES / (twins + OUTLINE_KB / F1_MESSAGE_KB))


def table(fleets: Sequence[Load]) -> str:
    """A Markdown table with a column for each fleet."""
    used = [usage(load) for load in fleets]
    paid = [money(load) for load in fleets]

    def row(name: str, tell: Callable[[int], str]) -> str:
        return "| " + " | ".join([name, *map(tell, range(len(fleets)))]) + " |"

    def rounded(key: str, digits: int = 0) -> Callable[[int], str]:
        return lambda at: f"{used[at][key]:,.{digits}f}"

    def dollars(key: str) -> Callable[[int], str]:
        return lambda at: f"${paid[at][key]:,.0f}"

    def hub_units(at: int) -> str:
        count, size, _ = units(used[at]["messages"] / used[at]["hubs"])
        return f"{count} {size}"

    lines = [
        row("devices", lambda at: f"{fleets[at].devices:,}"),
        row("---", lambda _: "---:"),
        row("IoT hubs, each with an app", rounded("hubs")),
        row("runs of resync a day", lambda at: str(fleets[at].resyncs)),
        row("hours of a comparison of all devices", rounded("resync hours")),
        row("twin changes a day", rounded("events")),
        row("twin reads a day", rounded("reads")),
        row("twin reads a second of one hub, on average", rounded("reads a second of one hub", 2)),
        row("hours that a rollout to all takes by itself", rounded("hub hours", 2)),
        row("hours that reads and queries take to follow it", rounded("rollout hours", 2)),
        row("whole twins by query of resync a day", rounded("resynced")),
        row("IoT Hub messages a day", rounded("messages")),
        row("units that these alone would fill, of each hub", hub_units),
        row("devices that F1 would carry, with one resync a day", lambda at: f"{carried_by_f1(fleets[at]):,}"),
        row("table transactions a day", rounded("transactions")),
        row("executions a day", rounded("executions")),
        row("GB-seconds a day", rounded("GB-seconds")),
        row("table GB with a full history", rounded("table GB", 1)),
        *(row(f"{service} a month", dollars(service)) for service in list(paid[0])[:-1]),
        row("**together a month**", lambda at: f"**${sum(list(paid[at].values())[:-1]):,.0f}**"),
        row("IoT Hub units a month", dollars("IoT Hub")),
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table: of the three fleets of the page, or of one with numbers of your own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    own = ("devices", "resyncs", "changes", "notifications", "transitions", "modules", "twin_kb", "batch", "memory_gb")
    for name in (*own, "reads", "queries", "history"):
        kind = type(getattr(FLEETS[0], name))
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help="see docs/tuning.md")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    print(table([replace(FLEETS[0], **given)] if "devices" in given else [replace(load, **given) for load in FLEETS]))


if __name__ == "__main__":
    main()
