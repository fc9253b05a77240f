"""Submits a pipeline to Dataflow and does not wait for it: the job outlives the command.

    python -m pipelines word_count --runner dataflow --project P --region R --temp_location gs://bucket/tmp \
        --sdk_container_image IMAGE --input 'pubsub://projects/P/subscriptions/S?time=at&id=id' --output gs://bucket/counts/

With --describe it is translated, without credentials, and shown. templates/dataflow makes the image.
"""

from __future__ import annotations

import importlib
import logging
import re
from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    TestOptions,
    WorkerOptions,
)
from apache_beam.portability.api import beam_runner_api_pb2 as api
from rich.console import Console

from pipelines import template
from pipelines.connectors import has_end
from pipelines.options import JobOptions, UsageError

RUNNER = "DataflowRunner"


def prepare(name: str, options: JobOptions, flags: PipelineOptions) -> None:
    """Sets what a job on Dataflow needs; UsageError where its workers could not do what is asked.

    It is streaming iff its input has no end; its workers have this package from the image that is named, or else from
    --setup_file. Nothing of the main session is pickled.
    """
    _require_extra()
    _require_reach(name, options)
    setup, image = flags.view_as(SetupOptions), flags.view_as(WorkerOptions).sdk_container_image
    if not (image or setup.setup_file or setup.requirements_file or setup.extra_packages):
        raise UsageError(
            "workers on Dataflow need this package: name an image that has it (--sdk_container_image, made with "
            "templates/dataflow/Dockerfile), or have them install it (--setup_file ./pyproject.toml)"
        )
    cloud = flags.view_as(GoogleCloudOptions)
    for flag in ("project", "region", "temp_location"):  # for one that is left out, Beam makes a bucket
        if not getattr(cloud, flag):
            raise UsageError(f"a job on Dataflow needs --{flag}: its project, its region, and gs://BUCKET/FOLDER")
    if image:
        setup.sdk_location = "container"
    setup.save_main_session = False
    flags.view_as(StandardOptions).streaming = not has_end(options.input)
    if options.describe:  # nothing is asked for credentials then
        flags.view_as(TestOptions).dry_run = cloud.no_auth = True
    cloud.job_name = cloud.job_name or f"{name.replace('_', '-')}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def translated(pipeline: beam.Pipeline) -> api.Pipeline:
    """The graph as Dataflow gets it, of a pipeline that is only to be described."""
    graph: api.Pipeline = pipeline.run().job.proto_pipeline
    return graph


def submit(pipeline: beam.Pipeline, console: Console) -> None:
    """Starts the job, and says where to watch it."""
    job = pipeline.run()
    cloud = pipeline.options.view_as(GoogleCloudOptions)
    if not getattr(job, "has_job", False):  # of a template it is the service that starts one
        return
    place = f"https://console.cloud.google.com/dataflow/jobs/{cloud.region}/{job.job_id()}?project={cloud.project}"
    console.print(f"submitted as {cloud.job_name}: {place}", highlight=False, soft_wrap=True)


def _require_extra() -> None:
    try:
        importlib.import_module("apache_beam.runners.dataflow.internal.apiclient")
    except ImportError as error:
        raise UsageError(f"Dataflow needs more than is installed: pip install 'streamsketch[gcp]' ({error})") from error
    logging.getLogger("apache_beam.internal.gcp.auth").setLevel(logging.ERROR)


def _require_reach(name: str, options: JobOptions) -> None:
    """UsageError where an option breaks the rule of its template: most name a place that workers cannot reach."""
    for parameter in template.metadata_of(name)["parameters"]:
        value = getattr(options, parameter["name"])
        text = ";".join(value) if isinstance(value, tuple) else str(value)
        if parameter["paramType"] != "TEXT" or value in (None, "", ()):
            continue
        if not all(re.fullmatch(rule, text) for rule in parameter["regexes"]):
            raise UsageError(
                f"--{parameter['name'].replace('_', '-')} must be what workers of Dataflow can use, got {text!r}: "
                f"{parameter['helpText']}; it must match {parameter['regexes'][0]}"
            )
    for field in template.LEFT_OUT - {"describe"}:
        if getattr(options, field, None):
            raise UsageError(
                f"--{field.rstrip('_')} is for runs in this process, and a job on Dataflow outlives it: leave it out"
            )
