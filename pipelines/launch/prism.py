"""Prism, Beam's runner for live pipelines on one machine: a program that is fetched on the first live run."""

from __future__ import annotations

import platform
from pathlib import Path

import apache_beam
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, PrismRunnerOptions
from apache_beam.runners.portability.prism_runner import PrismJobServer
from rich.console import Console

from pipelines.launch.command import RunError

RUNNER = "PrismRunner"


def require_prism(options: PipelineOptions, talk: Console) -> None:
    """Fetches Prism where it is not there yet, and says so; RunError where it cannot be had."""
    asked = options.view_as(PrismRunnerOptions)
    if asked.prism_location or options.view_as(PortableOptions).job_endpoint:
        return
    version = asked.prism_beam_version_override or f"v{apache_beam.__version__}"
    server = PrismJobServer(options)
    try:
        url = server.construct_download_url(version, platform.system(), platform.machine())
        if Path(PrismJobServer.BIN_CACHE, Path(url).name).exists():
            return
        talk.print(f"fetching Prism, Beam's runner for live pipelines, once: {url}", highlight=False, soft_wrap=True)
        PrismJobServer.local_bin(url)
    except (OSError, RuntimeError, ValueError) as error:
        raise RunError(
            f"Prism, which runs live pipelines, could not be fetched: {error}. Without a network, build it where there "
            f"is one (go install github.com/apache/beam/sdks/v2/go/cmd/prism@{version}) and give --prism_location PATH"
        ) from error
