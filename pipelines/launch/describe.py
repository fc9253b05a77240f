"""Tells what would be submitted, without submitting it: the steps of the graph, where it runs, and what was set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.transforms.environments import (
    DockerEnvironment,
    EmbeddedPythonEnvironment,
    ExternalEnvironment,
    ProcessEnvironment,
)
from rich.console import Console

from pipelines.results import table

# Workers that are not threads of the process that runs it, by --environment_type.
_WORKERS = {"DOCKER": DockerEnvironment, "PROCESS": ProcessEnvironment, "EXTERNAL": ExternalEnvironment}


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a graph that does something itself: its name, what it is, and what a runner keeps or reads for it."""

    name: str
    kind: str
    note: str


def describe(name: str, proto: api.Pipeline, options: PipelineOptions, console: Console) -> None:
    """Shows a graph, as `proto_of` makes it, with the workers' images and the flags that were set, by hand or by us."""
    rows = [(step.name, step.kind, step.note) for step in steps_of(proto)]
    console.print(table(f"{name}: {len(rows)} steps, {proto.ByteSize():,} bytes", "step", "is", "with", rows=rows))
    for image in images_of(proto):
        console.print(f"image of workers: {image}", highlight=False, soft_wrap=True)
    for flag, value in sorted(options.get_all_options(drop_default=True).items()):
        console.print(f"--{flag}={value}", highlight=False, markup=False, soft_wrap=True)


def proto_of(pipeline: beam.Pipeline) -> api.Pipeline:
    """The graph as a runner takes it, with workers as the flags say; a runner may change it first."""
    options = pipeline.options.view_as(PortableOptions)
    kind = _WORKERS.get(options.environment_type, EmbeddedPythonEnvironment)
    graph: api.Pipeline = pipeline.to_runner_api(default_environment=kind.from_options(options))
    return graph


def steps_of(proto: api.Pipeline) -> Iterator[Step]:
    """The steps that contain no others, in the order in which the graph was built."""
    transforms = proto.components.transforms
    waiting = list(reversed(proto.root_transform_ids))
    while waiting:
        transform = transforms[waiting.pop()]
        if transform.subtransforms and transform.spec.urn not in _WHOLE:
            waiting += reversed(transform.subtransforms)
        elif transform.spec.urn:
            kind = transform.spec.urn.removeprefix("beam:transform:").rpartition(":v")[0] or transform.spec.urn
            yield Step(transform.unique_name, kind, _note(transform.spec))


# What runners carry out as one, whatever it is made of.
_WHOLE = frozenset({common_urns.composites.COMBINE_PER_KEY.urn})


def images_of(proto: api.Pipeline) -> list[str]:
    """The container images that workers are started from."""
    return [
        api.DockerPayload.FromString(environment.payload).container_image
        for environment in proto.components.environments.values()
        if environment.urn == common_urns.environments.DOCKER.urn
    ]


def _note(spec: api.FunctionSpec) -> str:
    if spec.urn == common_urns.composites.PUBSUB_READ.urn:
        read = api.PubSubReadPayload.FromString(spec.payload)
        return f"{read.subscription or read.topic}, id={read.id_attribute}, time={read.timestamp_attribute}"
    if spec.urn != common_urns.primitives.PAR_DO.urn:
        return ""
    do = api.ParDoPayload.FromString(spec.payload)
    kept = [*do.state_specs, *(f"timer {name}" for name in do.timer_family_specs)]
    return ", ".join([*kept, *(["reads in splits"] if do.restriction_coder_id else [])])
