"""The options of a pipeline, declared once: a frozen dataclass is its flags, its --help and its validation."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    from transforms.windowing import WindowPolicy

Parsed = TypeVar("Parsed", bound="Options")


class UsageError(Exception):
    """What a user asked for cannot be; the message says the rule, what came, and what to do."""


def option(help_text: str, *, default: Any = dataclasses.MISSING, bare: bool = False) -> Any:
    """One option of a pipeline: what it means, and its default unless it must be given.

    Where it is `bare`, a text, its flag may be left out.
    """
    return dataclasses.field(default=default, metadata={"help": help_text, "bare": bare})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of every pipeline's options. Rules that hold between values belong in `__post_init__`, as ValueErrors."""

    @classmethod
    def parse(cls, program: str, description: str, arguments: Sequence[str]) -> tuple[typing.Self, list[str]]:
        """The options that a command line gives, and the flags for Beam that are left over.

        Raises UsageError for a flag that neither the pipeline nor Beam knows, and for a value that breaks a rule.
        """
        parser = _parser_of(cls, program, description)
        given, others = parser.parse_known_args(arguments)
        for field in dataclasses.fields(cls):
            # A word after a flag of Beam is the value of that.
            if field.metadata["bare"] and field.name not in given and others and not others[0].startswith("-"):
                setattr(given, field.name, others.pop(0))
        _refuse_unknown(others, known=list(parser._option_string_actions))  # noqa: SLF001  argparse has no public list
        for field in dataclasses.fields(cls):
            if field.default is dataclasses.MISSING and field.name not in given:
                raise UsageError(f"{_flag(field.name)} must be given: {field.metadata['help']}")
        several = {name: tuple(value) for name, value in vars(given).items() if isinstance(value, list)}
        try:
            return cls(**{**vars(given), **several}), others
        except ValueError as error:
            raise UsageError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class JobOptions(Options):
    """Options of a pipeline that reads records and writes results, and beside them its rejects and its ledger."""

    input: str = option("where records come from")
    output: str = option("where results go")
    rejects: str = option("where unusable records go, with the reason (default: beside the output)", default="")
    ledger: str = option("where the counts of the run go (default: beside the output)", default="")
    state: str = option("a directory that keeps where a live run is, so that the next goes on there", default="")
    describe: bool = option("show what would be submitted, and do not run it", default=False)
    for_: str = option("how long to read live input, as 10m (default: until Ctrl-C)", default="")

    def __post_init__(self) -> None:
        from pipelines.connectors import beside, has_end  # noqa: PLC0415  takes Beam, and so a second
        from transforms.windows import parse_duration  # noqa: PLC0415

        if self.for_ and has_end(self.input):
            raise ValueError(f"--for {self.for_} is for live input, and {self.input!r} ends by itself: leave it out")
        if self.for_:
            parse_duration(self.for_)
        if self.state and has_end(self.input):
            raise ValueError(f"--state is for live input, and {self.input!r} can be read again: leave it out")
        object.__setattr__(self, "rejects", self.rejects or beside(self.output, "rejects.jsonl"))
        object.__setattr__(self, "ledger", self.ledger or _ledger_of(self.output, grows=not has_end(self.input)))

    @property
    def policy(self) -> WindowPolicy:
        """The windows of the results; ValueError where they do not stand for themselves."""
        windows: WindowPolicy | None = getattr(self, "window", None)
        if windows is None:
            raise ValueError("what this pipeline tells is not told by windows")
        return windows


def _ledger_of(output: str, grows: bool) -> str:
    """Beside a file or on the console there is one ledger; beside a directory one for each run into it.

    That of a run without an end grows: it is a directory itself.
    """
    from pipelines.connectors import beside  # noqa: PLC0415

    place = beside(output, "ledger.json")
    if place.endswith((".json", ":")):
        return place
    return f"{place}/{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}{'/' if grows else '.json'}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parser_of(options: type[Options], program: str, description: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        description=inspect.cleandoc(description),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Flags of Beam and its runners are passed on, for example --direct_num_workers 2.",
        allow_abbrev=False,
    )
    hints = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        flag, hint = _flag(field.name), hints[field.name]
        help_text = field.metadata["help"]
        if field.default not in (dataclasses.MISSING, None, "", False, ()):
            help_text += f" (default: {field.default})"
        if field.metadata["bare"]:
            help_text += f"; {flag} may be left out"
        shared = {"dest": field.name, "default": argparse.SUPPRESS, "help": help_text.replace("%", "%%")}
        if hint is bool:
            parser.add_argument(flag, action="store_true", **shared)
        elif typing.get_origin(hint) is tuple:  # given once for each of several values
            convert = _converter(flag, typing.get_args(hint)[0])
            parser.add_argument(flag, type=convert, action="append", metavar=field.name.upper(), **shared)
        else:
            metavar = "|".join(typing.get_args(hint)) if _is_choice(hint) else field.name.upper()
            parser.add_argument(flag, type=_converter(flag, hint), metavar=metavar, **shared)
    return parser


def _flag(name: str) -> str:
    return f"--{name.rstrip('_').replace('_', '-')}"  # from_ is --from, which Python keeps for itself


def _is_choice(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Literal


def _converter(flag: str, hint: Any) -> Callable[[str], Any]:
    """Turns the text of a flag into its type, or says what the type takes."""
    if typing.get_origin(hint) in {types.UnionType, typing.Union}:
        hint = next(argument for argument in typing.get_args(hint) if argument is not type(None))

    def convert(text: str) -> Any:
        if _is_choice(hint):
            if text not in typing.get_args(hint):
                raise UsageError(f"{flag} must be one of {', '.join(typing.get_args(hint))}, got {text!r}")
            return text
        try:
            return hint.parse(text) if hasattr(hint, "parse") else hint(text)
        except ValueError as error:
            rule = {int: "a whole number", float: "a number"}.get(hint)
            raise UsageError(f"{flag} must be {rule}, got {text!r}" if rule else f"{flag}: {error}") from error

    return convert


def _refuse_unknown(flags: list[str], known: list[str]) -> None:
    """Raises where Beam does not know a flag either: Beam alone would run on with the default."""
    if not flags:
        return
    from apache_beam.options.pipeline_options import PipelineOptions  # noqa: PLC0415  takes a second

    beam_flags: list[str] = []
    unknown: list[str] = []

    def ask(parser: argparse.ArgumentParser) -> None:
        beam_flags.extend(parser._option_string_actions)  # noqa: SLF001
        unknown.extend(parser.parse_known_args(flags)[1])

    PipelineOptions([]).get_all_options(add_extra_args_fn=ask)
    if unknown:
        name = unknown[0].split("=")[0]
        near = difflib.get_close_matches(name.replace("_", "-"), known, n=1, cutoff=0.6)
        near = near or difflib.get_close_matches(name, beam_flags, n=1, cutoff=0.75)
        advice = f"did you mean {near[0]}?" if near else f"it knows {', '.join(f for f in known if f[:2] == '--')}"
        raise UsageError(f"there is no option {name}: {advice}")
