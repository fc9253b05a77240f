"""A test to paste: the call that failed, written again for one story."""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from types import FrameType

from transforms.testing.stories import Story

_DRAWN = {"time", "schedules", "seed"}  # what a story leaves nothing to say about


def pasted(story: Story, caller: FrameType | None, function: str) -> str:
    """The text of a test that tells one story; its other arguments are those of the call that the caller is at."""
    call = ast.unparse(_call(caller, function) or ast.parse(f"{function}(transform, story)"))
    script = textwrap.indent(story.script(), " " * 8)
    return (
        f"from transforms.testing import Story, {function}\n\n\n"
        "def test_a_stream_tells_what_a_batch_tells() -> None:\n"
        f"    story = (\n{script}\n    )\n"
        f"    {call}\n"
    )


def _call(caller: FrameType | None, function: str) -> ast.Call | None:
    """The call that a frame is at, as its source has it, with a story for the records."""
    positions = inspect.getframeinfo(caller).positions if caller else None
    if caller is None or positions is None:
        return None
    source = "".join(linecache.getlines(caller.f_code.co_filename, caller.f_globals))
    here = positions.lineno, positions.col_offset, positions.end_lineno, positions.end_col_offset
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and here == (call.lineno, call.col_offset, call.end_lineno, call.end_col_offset):
            story = ast.Name("story")
            named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg not in _DRAWN}
            first = call.args[0] if call.args else named.pop("transform")
            named.pop("records", None)
            keywords = [ast.keyword(name, value) for name, value in named.items()]
            return ast.Call(ast.Name(function), [first, story, *call.args[2:]], keywords)
    return None
