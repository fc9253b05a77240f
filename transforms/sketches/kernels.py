"""Which code runs the innermost loops: numpy's, or the same compiled.

numpy is the reference, and is always there. After `pip install 'streamsketch[fast]'` numba compiles loops that give the
same bits several times as fast, and let other threads run meanwhile. STREAMSKETCH_KERNELS in the environment chooses:
`numpy`, or `compiled` (ImportError without numba); without it the compiled ones run where numba works.

Neither numba nor a loop is loaded before a kernel is first called: numba then takes about half a second, once a
process, and a loop as long again to compile, once a machine: it is kept beside this file, or in the user's cache, or
where NUMBA_CACHE_DIR says. Where nothing can be written, every process compiles for itself.
"""

from __future__ import annotations

import functools
import importlib
import os
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

KERNELS: dict[str, Callable[..., Any]] = {}  # the numpy functions, by name
RUNNING: dict[str, Callable[..., Any]] = {}  # what was chosen at a kernel's first call
_parts: list[Callable[..., Any]] = []  # that numba has not been told of
_lock = threading.RLock()


def chosen(text: str) -> str:
    """The choice that the environment makes; raises ValueError for one that there is not.

    >>> chosen("numpy"), chosen("")
    ('numpy', 'either')
    """
    if text not in {"", "numpy", "compiled"}:
        raise ValueError(
            f"STREAMSKETCH_KERNELS must be numpy or compiled, got {text!r}; unset it for compiled where numba works"
        )
    return text or "either"


CHOICE = chosen(os.environ.get("STREAMSKETCH_KERNELS", ""))


def kernel(reference: Function) -> Function:
    """Marks a numpy function for which the loop of the same name in loops.py may stand in."""
    name = reference.__name__
    KERNELS[name] = reference

    @functools.wraps(reference)
    def run(*arguments: Any) -> Any:
        return (RUNNING.get(name) or _choose(name))(*arguments)

    return cast("Function", run)


def compiled(name: str) -> Callable[..., Any]:
    """The loop of this name, compiled; raises ImportError where numba is absent, and what it raises if it fails."""
    loop: Loop = getattr(importlib.import_module("transforms.sketches.loops"), name)
    return loop.compile()


@dataclass(frozen=True, slots=True)
class Loop:
    """A function over arrays and numbers, and numba's signature of it."""

    body: Callable[..., Any]
    signature: str

    def compile(self) -> Callable[..., Any]:
        """The function as machine code, kept for later processes if there is a place for it."""
        numba: Any = importlib.import_module("numba")
        compiler = numba.njit
        while _parts:
            numba.extending.register_jitable(_parts.pop())
        try:
            return cast("Callable[..., Any]", compiler(self.signature, nogil=True, cache=True)(self.body))
        except (RuntimeError, OSError):  # no folder that can be written, or no room in it
            return cast("Callable[..., Any]", compiler(self.signature, nogil=True)(self.body))


def loop(signature: str) -> Callable[[Callable[..., Any]], Loop]:
    """Makes a function a loop. A signature, so that no other types of arrays are compiled for, unseen."""
    return lambda body: Loop(body, signature)


def part(function: Function) -> Function:
    """Marks a step that loops share. It must stand in their file: numba's cache looks at no other for changes."""
    _parts.append(function)
    return function


def _choose(name: str) -> Callable[..., Any]:
    with _lock:
        if name not in RUNNING:
            RUNNING[name] = KERNELS[name] if CHOICE == "numpy" else _compiled_or_reference(name)
        return RUNNING[name]


def _compiled_or_reference(name: str) -> Callable[..., Any]:
    try:
        return compiled(name)
    except Exception as error:  # whatever is wrong with numba, numpy can do the work
        absent = isinstance(error, ModuleNotFoundError) and error.name == "numba"
        if CHOICE == "compiled":
            reason = "numba is not installed" if absent else f"numba fails: {error}"
            raise ImportError(
                f"STREAMSKETCH_KERNELS=compiled, but {reason}: pip install 'streamsketch[fast]', or unset the variable"
            ) from error
        if not absent:
            warnings.warn(
                f"sketches run on numpy alone, since numba fails: {error}; reinstall it by "
                "pip install 'streamsketch[fast]', or set STREAMSKETCH_KERNELS=numpy",
                RuntimeWarning,
                stacklevel=3,
            )
        return KERNELS[name]
