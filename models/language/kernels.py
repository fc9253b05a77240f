"""Which code scores texts: numpy's, or the same as loops that numba compiles, where the extra `fast` is installed.

Both give the same bits. STREAMSKETCH_KERNELS in the environment chooses, as for the sketches: `numpy`, or `compiled`
(ImportError without numba); without it the loops run where numba works. Nothing is loaded before the first call.
"""

from __future__ import annotations

import functools
import importlib
import os
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(reference: Function) -> Function:
    """Marks a numpy function for which the loop of the same name in loops.py may stand in."""

    @functools.wraps(reference)
    def run(*arguments: Any) -> Any:
        return running(reference)(*arguments)

    return cast("Function", run)


@functools.cache
def running(reference: Callable[..., Any]) -> Callable[..., Any]:
    """What runs in the place of a numpy function: chosen once."""
    choice = os.environ.get("STREAMSKETCH_KERNELS", "")
    if choice not in {"", "numpy", "compiled"}:
        raise ValueError(f"STREAMSKETCH_KERNELS must be numpy or compiled, got {choice!r}; unset it for the faster")
    try:
        return reference if choice == "numpy" else compiled(reference.__name__)
    except Exception as error:  # whatever is wrong with numba, numpy can do the work
        if choice == "compiled":
            raise ImportError(f"STREAMSKETCH_KERNELS=compiled, but numba cannot be used: {error}") from error
        if not isinstance(error, ModuleNotFoundError):
            warnings.warn(
                f"languages are told by numpy alone, since numba fails: {error}", RuntimeWarning, stacklevel=3
            )
        return reference


def compiled(name: str) -> Callable[..., Any]:
    """The loop of this name, compiled; raises ImportError where numba is absent."""
    return cast("Callable[..., Any]", getattr(importlib.import_module("models.language.loops"), name))
