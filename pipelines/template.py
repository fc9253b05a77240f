"""Tells Dataflow what a pipeline takes: the metadata of its Flex Template, made of the options of its command line.

    python -m pipelines template trending --output templates/dataflow/trending.json

Each option is a parameter, half_life for --half-life; values of an option that is given several times are separated by
semicolons. Options for a person at a console are left out; what would go to a file of this machine by default must be
given.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from pipelines.options import JobOptions, UsageError, option
from pipelines.options import Options as BaseOptions

# What has no place where nobody watches, and workers come and go.
LEFT_OUT = {"describe", "for_", "live", "show", "state"}
_MUST_BE_GIVEN = {"output", "store"}  # by default they are files of this machine

_FILE = "gs://[^/]+/.+"
_SINK = rf"{_FILE}|pubsub://projects/[^/]+/topics/[^/?]+([?].+)?|kafka://.+"
_READ = f"{_FILE}|sample:[^/]+"
_READ_LIVE = rf"{_READ}|pubsub://projects/[^/]+/subscriptions/[^/?]+([?].+)?|kafka://.+|jetstream:.+|generate:.+"
_DURATION = "[0-9.]+(us|ms|s|m|h|d)"
_WINDOW = f"all|session {_DURATION}|(day|week|month|year)( [A-Za-z0-9_+/-]+)?|{_DURATION}(/{_DURATION})?"
_POLICY = f"({_WINDOW})(, *(lateness|early|late) [a-z0-9. ]+|, *(accumulating|discarding))*"
_SUBSCRIPTION = "pubsub://projects/example/subscriptions/events?time=at&id=id"

# What texts must be, by the name of their option, and an example that helps where the rule is not obvious.
_TEXTS = {
    "output": (_SINK, ""),
    "rejects": (_SINK, "gs://bucket/rejects.jsonl"),
    "late": (_SINK, "gs://bucket/late/"),
    "ledger": (_FILE, "gs://bucket/ledger.json"),
    "raw": (_FILE, "gs://bucket/raw/"),
    "model": (_FILE, "gs://bucket/model.safetensors"),
    "add": (_FILE, "gs://bucket/more.safetensors"),
    "subtract": (_FILE, "gs://bucket/less.safetensors"),
    "store": ("postgresql://.+", "postgresql://user@host/name"),
    "half_life": (_DURATION, "1h"),
}


@dataclass(frozen=True, kw_only=True)
class Options(BaseOptions):
    """Which pipeline, and where its metadata go."""

    pipeline: str = option("the name of the pipeline, as python -m pipelines lists it", bare=True)
    output: str = option("the file of the metadata; - for the console", default="-")


def run(options: Options, flags: list[str], console: Console) -> None:
    """Writes the metadata; UsageError where the pipeline is none that a runner can have."""
    if flags:
        raise UsageError(f"template runs no pipeline, so it takes no flags of Beam, got {' '.join(flags)}")
    text = json.dumps(metadata_of(options.pipeline), indent=2, ensure_ascii=False) + "\n"
    if options.output == "-":
        console.file.write(text)
    else:
        Path(options.output).write_text(text, encoding="utf-8")


def job_of(name: str) -> Any:
    """The module of a pipeline that is one graph; UsageError where there is none, or it is none."""
    try:
        job = importlib.import_module(f"pipelines.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"pipelines.{name}":
            raise
        raise UsageError(f"there is no pipeline {name!r}: python -m pipelines lists them") from error
    if not hasattr(job, "build") or not issubclass(job.Options, JobOptions):
        raise UsageError(f"a template is of one graph, and {name} is none, or several: take those that it runs")
    return job


def metadata_of(name: str) -> dict[str, Any]:
    """The metadata of a pipeline's template, as `google.dataflow.v1beta3.TemplateMetadata` in JSON."""
    job = job_of(name)
    streams = _streams(job.Options)
    modes = {
        "streaming": True,
        # Every pipeline keeps a ledger, and a record that is counted twice makes it wrong.
        "supportsAtLeastOnce": False,
        "supportsExactlyOnce": True,
        "defaultStreamingMode": "EXACTLY_ONCE",
    }
    return {
        "name": name,
        "description": inspect.cleandoc(job.__doc__).splitlines()[0],
        **(modes if streams else {"streaming": False}),
        "parameters": [_parameter(field, hint, streams=streams) for field, hint in _fields(job.Options)],
    }


def arguments_of(name: str, given: Sequence[str]) -> list[str]:
    """The command line that parameters mean, in the form in which a launcher hands them over.

    >>> arguments_of("word_count", ["--window=1m, lateness 10s", "--output=gs://b/o/", "--region=europe-west1"])
    ['--window=1m, lateness 10s', '--output=gs://b/o/', '--region=europe-west1']
    >>> arguments_of("detect_language", ["--min_confidence=0.5", "--explain=true"])
    ['--min-confidence=0.5', '--explain']
    """
    hints = {field.name: hint for field, hint in _fields(job_of(name).Options)}
    arguments: list[str] = []
    for each in given:
        parameter, _, value = each.removeprefix("--").partition("=")
        flag = f"--{parameter.replace('_', '-')}"
        if parameter not in hints:
            arguments.append(each)
        elif hints[parameter] is bool:
            arguments += [flag] if value.lower() == "true" else []
        elif typing.get_origin(hints[parameter]) is tuple:
            arguments += [f"{flag}={single.strip()}" for single in value.split(";") if single.strip()]
        else:
            arguments.append(f"{flag}={value}")
    return arguments


def _fields(options: type[JobOptions]) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    hints = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        if field.name not in LEFT_OUT:
            yield field, hints[field.name]


def _streams(options: type[JobOptions]) -> bool:
    """Whether its results are told by windows, as those of input without an end must be."""
    from transforms.windowing import WindowPolicy  # noqa: PLC0415  takes Beam, and so a second

    return WindowPolicy in typing.get_type_hints(options).values()


def _parameter(field: dataclasses.Field[Any], hint: Any, *, streams: bool) -> dict[str, Any]:
    optional = field.default is not dataclasses.MISSING and field.name not in _MUST_BE_GIVEN
    kind, example = _kind(field.name, hint, streams=streams)
    parameter: dict[str, Any] = {
        "name": field.name,
        "label": _label(field.name),
        "helpText": _help(field, example, optional=optional),
        "isOptional": optional,
        **kind,
    }
    if optional and field.default not in (None, "", ()):
        parameter["defaultValue"] = str(field.default).lower() if hint is bool else str(field.default)
    return parameter


def _help(field: dataclasses.Field[Any], example: str, *, optional: bool) -> str:
    text: str = field.metadata["help"].replace("given once for each", "separated by semicolons")
    if field.name == "input":  # of its places, those that workers can reach are told by the example
        text = text.partition(":")[0]
    if not optional:
        text = text.partition(" (default")[0]
    return text[0].upper() + text[1:] + (f"; for example {example}" if example else "")


def _label(name: str) -> str:
    """What a form calls a parameter.

    >>> _label("min_confidence")
    'Min confidence'
    """
    return name.replace("_", " ").capitalize()


def _kind(name: str, hint: Any, *, streams: bool) -> tuple[dict[str, Any], str]:
    """The type of a parameter and what its text must be, and an example of it."""
    if typing.get_origin(hint) in {types.UnionType, typing.Union}:
        hint = next(argument for argument in typing.get_args(hint) if argument is not type(None))
    if typing.get_origin(hint) is typing.Literal:
        return {"paramType": "ENUM", "enumOptions": [{"value": value, "label": value} for value in hint.__args__]}, ""
    if hint is bool:
        return {"paramType": "BOOLEAN", "regexes": ["^(true|false)$"]}, ""
    if hint is int:
        return {"paramType": "NUMBER", "regexes": ["^-?[0-9]+$"]}, ""
    if hint is float:
        return {"paramType": "NUMBER", "regexes": ["^-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$"]}, ""
    if name == "input":
        rule, example = (_READ_LIVE, _SUBSCRIPTION) if streams else (_READ, "gs://bucket/texts/*.jsonl")
    elif hasattr(hint, "parse"):  # WindowPolicy
        rule, example = _POLICY, ""
    else:
        rule, example = _TEXTS.get(name, (".+", ""))
    if typing.get_origin(hint) is tuple and name in _TEXTS:
        rule = f"({rule})(; *({rule}))*"
    return {"paramType": "TEXT", "regexes": [f"^({rule})$"]}, example
