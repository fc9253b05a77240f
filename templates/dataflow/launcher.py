"""What a Flex Template starts: hands its parameters to the pipeline that the image is for, and does not wait.

Google's launcher calls it with --parameter=value for each that was given, and with flags of Beam. The workers get the
image that it runs in, unless they are given another.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from pipelines.__main__ import main
from pipelines.template import arguments_of


def command(given: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The command line that parameters mean, for the pipeline and image that the environment names."""
    name = environment["STREAMSKETCH_PIPELINE"]
    arguments = [name, "--runner=DataflowRunner", *arguments_of(name, given)]
    if not any(argument.startswith("--sdk_container_image") for argument in given):
        arguments.append(f"--sdk_container_image={environment['STREAMSKETCH_IMAGE']}")
    return arguments


if __name__ == "__main__":
    sys.exit(main(command(sys.argv[1:], os.environ)))
