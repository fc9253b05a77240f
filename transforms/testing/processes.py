"""Whether a CombineFn can be sent to other processes, and does there what it does here.

Every worker of a pipeline is such a process, with a hash seed of its own (PYTHONHASHSEED).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import apache_beam as beam
from apache_beam.internal import pickler
from apache_beam.internal.cloudpickle import cloudpickle

from transforms.testing.laws import FINE, Way, law
from transforms.testing.worker import Items, Parts, Worker, at_work, together

_HASH_SEEDS = ("1", "2")
_SERVE = "from transforms.testing.processes import serve; serve()"


@law("pickling", harm="workers would answer otherwise than the object that you tested: a pickled copy is all they get")
def pickling(_: Worker, sent: Worker, parts: Parts, __: random.Random) -> Iterator[Way]:
    """A copy made by Beam's pickler must answer as the original does."""
    items = together(parts)
    yield Way("the pickled copy, with {},", [items], lambda: sent.one_pass(items), items)


def can_be_sent(fn: beam.CombineFn) -> Way:
    """Whether the law of pickling can be tried at all."""

    def copied() -> Any:
        pickler.loads(pickler.dumps(fn))
        return FINE

    return Way("pickling it", [], copied, [], lambda: FINE, is_answer=False)


@law("other processes", harm="workers, which are processes with hash seeds of their own, would disagree")
def elsewhere(worker: Worker, fn: beam.CombineFn, examples: Items) -> Iterator[Way]:
    """Processes with other hash seeds must give the same answers, and accumulators that merge with each other's."""
    samples = [items for items in _samples(examples) if _has_answer(worker, items)]
    try:
        first, second = _ask_processes(fn, samples)
    except _ProcessFailed as error:
        failure = error
        yield Way("work in another process", [], lambda: failure, [], lambda: FINE, is_answer=False)
        return
    for found in zip(samples, first, second, strict=True):
        yield from _compared(worker, *found)


def _compared(worker: Worker, items: Items, first: Finding, second: Finding) -> Iterator[Way]:
    def merged() -> Any:
        return worker.ask(worker.merge(*(worker.coder.decode(found.accumulator) for found in (first, second))))

    yield Way("{} under another hash seed", [items], lambda: second.answer, [], lambda: first.answer)
    yield Way("{} in this process", [items], lambda: worker.one_pass(items), [], lambda: first.answer)
    yield Way("merge({} of one process, {} of another)", [items, items], merged, [], lambda: first.answer_to_twice)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a process makes of some inputs, and of the same inputs twice."""

    answer: Any
    answer_to_twice: Any
    accumulator: bytes


def _samples(examples: Items) -> list[Items]:
    """None, some of one, and the first two, four, eight, up to all."""
    growing = [examples[: 2**power] for power in range(1, (len(examples) - 1).bit_length())]
    return [[], *([item] for item in examples[:10]), *growing, examples]


def _has_answer(worker: Worker, items: Items) -> bool:
    try:
        worker.one_pass(items)
    except Exception:  # noqa: BLE001  inputs without an answer here need none elsewhere
        return False
    return True


class _ProcessFailed(Exception):  # noqa: N818  it is the answer of a process that gave none
    def __repr__(self) -> str:
        return str(self)


def _ask_processes(fn: beam.CombineFn, samples: list[Items]) -> list[list[Finding]]:
    by_value: list[ModuleType] = []
    try:
        while True:
            request = pickler.dumps((fn, samples))
            with ThreadPoolExecutor(len(_HASH_SEEDS)) as threads:
                replies = list(threads.map(partial(_ask_process, request), _HASH_SEEDS))
            missing = next((reply for reply in replies if isinstance(reply, str)), None)
            if missing is None:
                return replies
            # A test module that only its test runner can import: its classes are sent whole, not by name.
            module = sys.modules.get(missing)
            if module is None or module in by_value:
                raise _ProcessFailed(f"no module named {missing}")
            cloudpickle.register_pickle_by_value(module)
            by_value.append(module)
    finally:
        for module in by_value:
            cloudpickle.unregister_pickle_by_value(module)


def _ask_process(request: bytes, hash_seed: str) -> Any:
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    ended = subprocess.run(  # noqa: S603  this interpreter, and a request of this process
        [sys.executable, "-P", "-c", _SERVE],
        input=request,
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
    )
    if ended.returncode:
        raise _ProcessFailed(ended.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    return pickler.loads(ended.stdout)


def serve() -> None:
    """Reads a CombineFn and samples, and writes findings; or the name of a module that cannot be imported here."""
    reply = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a CombineFn prints is no part of the reply
    try:
        fn, samples = pickler.loads(sys.stdin.buffer.read())
    except ModuleNotFoundError as error:
        found: Any = error.name
    else:
        with at_work(fn) as worker:
            found = [_finding(worker, items) for items in samples]
    with reply:
        reply.write(pickler.dumps(found))


def _finding(worker: Worker, items: Items) -> Finding:
    accumulator = worker.coder.encode(worker.fn.compact(worker.new(items)))
    return Finding(worker.one_pass(items), worker.one_pass([*items, *items]), accumulator)
