"""Laws and accuracy of any Beam CombineFn, your own included, for your tests.

`check_laws` fails with the smallest example of a law that is broken, `check_accuracy` when approximate answers are
farther from exact ones than you allow. Neither builds a pipeline.
"""

from transforms.testing.accuracy import Accuracy, check_accuracy, relative_error
from transforms.testing.checking import check_laws
from transforms.testing.closeness import Within, exactly, within
from transforms.testing.laws import LawBroken

__all__ = ["Accuracy", "LawBroken", "Within", "check_accuracy", "check_laws", "exactly", "relative_error", "within"]
