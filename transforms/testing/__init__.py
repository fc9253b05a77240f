"""Laws and accuracy of any Beam CombineFn, and what any transform tells of a stream: yours included, for your tests.

`check_laws` fails with the smallest example of a law that is broken, `check_accuracy` when approximate answers are
farther from exact ones than you allow. `check_batch_equals_stream` fails with the smallest story of which a stream
tells something else than a batch; a `Story` says what arrives when, and `panes_of` what is told of it.
"""

from transforms.testing.accuracy import Accuracy, check_accuracy, relative_error
from transforms.testing.agreement import StreamDiffers, check_batch_equals_stream
from transforms.testing.checking import check_laws
from transforms.testing.closeness import Within, exactly, within
from transforms.testing.laws import LawBroken
from transforms.testing.panes import Told, collect_panes, panes_of
from transforms.testing.stories import Story
from transforms.testing.telling import StoryStuck

__all__ = [
    "Accuracy",
    "LawBroken",
    "Story",
    "StoryStuck",
    "StreamDiffers",
    "Told",
    "Within",
    "check_accuracy",
    "check_batch_equals_stream",
    "check_laws",
    "collect_panes",
    "exactly",
    "panes_of",
    "relative_error",
    "within",
]
