"""CPU seconds of a process and all that it started, as the kernel counts them (Linux)."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(process: int) -> float:
    """User and system time of a process, its living descendants, and those that they have waited for."""
    children: dict[int, list[int]] = defaultdict(list)
    spent: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()  # the name before may hold anything
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        number = int(stat.parent.name)
        children[int(fields[1])].append(number)
        spent[number] = sum(map(int, fields[11:15]))
    total, family = 0, [process]
    while family:
        member = family.pop()
        total += spent.get(member, 0)
        family += children[member]
    return total / _TICKS
