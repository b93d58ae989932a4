"""What is printed of the app each minute."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HEADER: Final = "minute  memory (MB)  sockets  events  lag (events)  faults"


@dataclass(frozen=True, slots=True)
class Figures:
    """The app at one moment.

    Attributes:
        memory: Megabytes of its process.
        sockets: That its process has open.
        events: Twin changes that came so far.
        lag: Twin changes of these that it is not done with.
        faults: That it met so far.
    """

    minute: int
    memory: int
    sockets: int
    events: int
    lag: int
    faults: int

    def __str__(self) -> str:
        columns = self.minute, self.memory, self.sockets, self.events, self.lag, self.faults
        widths = 6, 13, 9, 8, 14, 8
        return "".join(f"{value:>{width}}" for value, width in zip(columns, widths, strict=True))


def memory(pid: int) -> int:
    """Megabytes of a process, as Linux counts them."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    (resident,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(resident) // 1024


def sockets(pid: int) -> int:
    """Sockets that a process has open, as Linux counts them."""
    links = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(file.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    return sum(link.startswith("socket:") for link in links)


def lag(checkpoints: Path, newest: Mapping[str, int]) -> int:
    """Events of an event hub that the host is not done with.

    Args:
        checkpoints: The file of the host.
        newest: The last sequence number by partition.
    """
    done = json.loads(checkpoints.read_text("utf-8")) if checkpoints.exists() else {}
    reached = {key.rpartition("/")[2]: number for key, number in done.items()}
    return sum(number - reached.get(partition, -1) for partition, number in newest.items())
