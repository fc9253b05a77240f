"""Which rows to keep, as a line of text: `status >= 500 and startswith(path, "/api/")`, evaluated on whole batches.

A condition is an expression in Python's syntax, of which this much is understood, and nothing is ever executed:

    fields          status, user.lang; those whose names are no words as field("x-id")
    values          500, 0.5, "text", True, False, None
    comparisons     == != < <= > >=, x in ("a", "b"), x not in (…), x is None, x is not None
    logic           and, or, not, ( )
    numbers         + - * / %, as reals
    texts           lower(x), length(x), startswith(x, "…"), endswith(x, "…"), contains(x, "…"), matches(x, "regex")

As in SQL, what is compared with a missing value is neither true nor false, and a row is kept where all is true. A field
is a number, a text or a boolean as it is used; a time is compared with a text such as "2026-03-01T12:00:00Z".
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from transforms.parsing import parse_time
from transforms.tables import TIME, Kind, column_at


def _as_real(numbers: Any) -> Any:
    return pc.cast(numbers, pa.float64(), safe=False)


def _of_one_type(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Compares whole numbers with reals as reals: Arrow refuses to where they are long."""

    def compared(one: Any, other: Any) -> Any:
        if pa.float64() in (one.type, other.type) and one.type != other.type:
            one, other = _as_real(one), _as_real(other)
        return compare(one, other)

    return compared


_equal = _of_one_type(pc.equal)
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: _equal,
    ast.NotEq: _of_one_type(pc.not_equal),
    ast.Lt: _of_one_type(pc.less),
    ast.LtE: _of_one_type(pc.less_equal),
    ast.Gt: _of_one_type(pc.greater),
    ast.GtE: _of_one_type(pc.greater_equal),
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: pc.add,
    ast.Sub: pc.subtract,
    ast.Mult: pc.multiply,
    ast.Div: pc.divide,
    ast.Mod: lambda a, b: pc.subtract(a, pc.multiply(pc.floor(pc.divide(a, b)), b)),
}
# What a function makes of texts, and whether it takes a second one, which must be a value.
_FUNCTIONS: dict[str, tuple[Kind, bool, Callable[..., Any]]] = {
    "lower": ("text", False, pc.utf8_lower),
    "length": ("numeric", False, lambda texts: pc.cast(pc.utf8_length(texts), pa.float64())),
    "startswith": ("boolean", True, pc.starts_with),
    "endswith": ("boolean", True, pc.ends_with),
    "contains": ("boolean", True, pc.match_substring),
    "matches": ("boolean", True, pc.match_substring_regex),
}
_TYPES: dict[Kind, pa.DataType] = {"text": pa.string(), "boolean": pa.bool_(), "time": TIME}
_DEEPEST = 100  # levels of an expression: more are nobody's, and take memory
_NAMES: dict[Kind, str] = {"numeric": "a number", "text": "a text", "boolean": "true or false", "time": "a time"}


_Evaluate: TypeAlias = Callable[[Mapping[str, pa.Array]], Any]


class Condition:
    """What rows must fulfil; see the module for its language.

    >>> condition = Condition('status >= 500 and not startswith(path, "/health")')
    >>> condition.fields
    {'status': 'numeric', 'path': 'text'}
    >>> rows = pa.RecordBatch.from_pylist([{"status": 503, "path": "/api"}, {"status": 503, "path": None}])
    >>> condition.mask(rows).to_pylist()
    [True, None]

    `kinds` are those of fields that are known otherwise. Raises ValueError for what is no such expression: the rule,
    what came, and where.
    """

    def __init__(self, text: str, kinds: Mapping[str, Kind] | None = None) -> None:
        self.text = text
        self.fields: dict[str, Kind] = {}
        self._known = {path: _comparable(kind) for path, kind in (kinds or {}).items()}
        try:
            body = ast.parse(text.strip(), mode="eval").body
        except (MemoryError, RecursionError):
            raise ValueError(f"a condition must be at most {_DEEPEST} levels deep, got one that is deeper") from None
        except (SyntaxError, ValueError):
            advice = "; to compare, write ==" if "=" in text.replace("==", "") else ""
            raise ValueError(f"a condition must be like status >= 500 and lang == 'ja', got {text!r}{advice}") from None
        if (depth := _depth(body)) > _DEEPEST:
            raise ValueError(f"a condition must be at most {_DEEPEST} levels deep, got one of {depth}")
        self._root = self._read(body, "boolean")

    def __reduce__(self) -> Any:
        return Condition, (self.text, self._known)

    def mask(self, rows: pa.RecordBatch) -> pa.Array:
        """True for each row that fulfils it, false or null for others; ValueError where a column is of another kind."""
        columns = {path: _column(rows, path, kind) for path, kind in self.fields.items()}
        try:
            mask = self._root(columns)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            kinds = ", ".join(f"{path}: {column.type}" for path, column in columns.items())
            raise ValueError(f"the condition {self.text!r} cannot be asked of {kinds}: {error}") from error
        return mask if isinstance(mask, pa.Array) else pa.repeat(mask, rows.num_rows)

    def _read(self, node: ast.expr, kind: Kind) -> _Evaluate:
        """How an expression is evaluated, which must be of a kind; ValueError where it is not."""
        found, evaluate = self._expression(node, kind)
        if kind not in ("any", found):
            raise self._wrong(node, f"must be {_NAMES[kind]}, and is {_NAMES[found]}")
        return evaluate

    def _expression(self, node: ast.expr, hint: Kind) -> tuple[Kind, _Evaluate]:  # noqa: PLR0911  one for each form
        match node:
            case ast.BoolOp(op=op, values=values):
                combine = pc.and_kleene if isinstance(op, ast.And) else pc.or_kleene
                return "boolean", _folded(combine, [self._read(value, "boolean") for value in values])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return "boolean", _applied(pc.invert, self._read(operand, "boolean"))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return "numeric", _applied(pc.negate, self._read(operand, "numeric"))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                reals = (_applied(_as_real, self._read(operand, "numeric")) for operand in (left, right))
                return "numeric", _applied(_ARITHMETIC[type(op)], *reals)
            case ast.Compare(left=left, ops=ops, comparators=others):
                pairs = zip([left, *others], ops, others, strict=False)
                return "boolean", _folded(pc.and_kleene, [self._comparison(*pair) for pair in pairs])
            case ast.Call(func=ast.Name("field"), args=[ast.Constant(str(path))], keywords=[]):
                return self._field(path, hint)
            case ast.Call(func=ast.Name(name), args=arguments, keywords=[]) if name in _FUNCTIONS:
                return self._call(node, name, arguments)
            case ast.Constant(value=value):
                return self._constant(node, value, hint)
            case ast.Name() | ast.Attribute():
                return self._field(self._path(node), hint)
        raise self._wrong(node, "is not understood")

    def _comparison(self, left: ast.expr, how: ast.cmpop, right: ast.expr) -> _Evaluate:
        negated = isinstance(how, ast.IsNot | ast.NotIn)
        if isinstance(how, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Constant) and right.value is None):
                raise self._wrong(right, "must be None where `is` stands before it: to compare, write ==")
            kind = self._kind(left)
            return _applied(pc.is_valid if negated else pc.is_null, self._read(left, kind))
        if isinstance(how, ast.In | ast.NotIn):
            if not (isinstance(right, ast.Tuple | ast.List | ast.Set) and right.elts):
                raise self._wrong(right, "must be values in brackets where `in` stands before it")
            kind = self._kind(left, *right.elts)
            values = [self._read(value, kind) for value in right.elts]
            one_of = _folded(pc.or_kleene, [_applied(_equal, self._read(left, kind), value) for value in values])
            return _applied(pc.invert, one_of) if negated else one_of
        kind = self._kind(left, right)
        return _applied(_COMPARISONS[type(how)], self._read(left, kind), self._read(right, kind))

    def _kind(self, *nodes: ast.expr) -> Kind:
        """The kind that expressions have which are compared: the first that is known, or any."""
        for node in nodes:
            match node:
                case ast.Constant(value=None):
                    raise self._wrong(node, "is never equal to anything: write `is None`")
                case ast.Name() | ast.Attribute():
                    path: str | None = self._path(node)
                case ast.Call(func=ast.Name("field"), args=[ast.Constant(str(path))]):
                    pass
                case _:
                    path = None
            kind = self._expression(node, "any")[0] if path is None else self._kind_of(path)
            if kind != "any":
                return kind
        return "any"

    def _kind_of(self, path: str) -> Kind:
        """What a field is known to be, by how it is used or otherwise."""
        used = self.fields.get(path, "any")
        return self._known.get(path, "any") if used == "any" else used

    def _field(self, path: str, hint: Kind) -> tuple[Kind, _Evaluate]:
        kind = self._kind_of(path)
        kind = hint if kind == "any" else kind
        if hint not in ("any", kind):
            raise ValueError(f"the field {path} is used as {_NAMES[kind]} and as {_NAMES[hint]}: it can be one of them")
        self.fields[path] = kind
        return kind, operator.itemgetter(path)

    def _constant(self, node: ast.expr, value: Any, hint: Kind) -> tuple[Kind, _Evaluate]:
        match value:
            case bool():
                kind: Kind = "boolean"
            case int() | float():
                kind = "numeric"
            case str() if hint == "time":
                kind, value = "time", parse_time(value if "T" in value else f"{value}T00:00:00Z")
            case str():
                kind = "text"
            case _:
                raise self._wrong(node, "must be a number, a text, True, False or None")
        scalar = _number(value) if kind == "numeric" else pa.scalar(value, _TYPES[kind])
        return kind, lambda _: scalar

    def _call(self, node: ast.expr, name: str, arguments: list[ast.expr]) -> tuple[Kind, _Evaluate]:
        kind, takes_value, apply = _FUNCTIONS[name]
        if len(arguments) != 1 + takes_value:
            raise self._wrong(node, f"{name} takes {1 + takes_value} arguments, got {len(arguments)}")
        texts = self._read(arguments[0], "text")
        if not takes_value:
            return kind, _applied(apply, texts)
        if not (isinstance(arguments[1], ast.Constant) and isinstance(arguments[1].value, str)):
            raise self._wrong(arguments[1], f"must be a text, in quotes, as the second argument of {name}")
        value = arguments[1].value
        try:
            apply(pa.array([""]), value)
        except pa.ArrowInvalid as error:
            raise self._wrong(arguments[1], f"is no regular expression: {error}") from error
        return kind, lambda columns: apply(texts(columns), value)

    def _path(self, node: ast.expr) -> str:
        match node:
            case ast.Name(id=name):
                return name
            case ast.Attribute(value=inner, attr=name):
                return f"{self._path(inner)}.{name}"
        raise self._wrong(node, "must be a field, such as user.lang")

    def _wrong(self, node: ast.expr, problem: str) -> ValueError:
        part = ast.get_source_segment(self.text.strip(), node) or self.text
        return ValueError(f"in the condition {self.text!r}, {part} {problem}")


class KeepRows(beam.PTransform):
    """Parts rows by a condition: PCollection[RecordBatch] -> `.kept` and `.filtered`, each PCollection[RecordBatch]."""

    def __init__(self, condition: Condition) -> None:
        super().__init__()
        self._condition = condition

    def expand(self, batches: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        keep = beam.FlatMap(_parted, self._condition).with_output_types(pa.RecordBatch)
        return batches | "Keep" >> keep.with_outputs("filtered", main="kept")


def _parted(rows: pa.RecordBatch, condition: Condition) -> Iterator[Any]:
    fulfil = condition.mask(rows).fill_null(False)
    if fulfil.true_count:
        yield rows.filter(fulfil)
    if fulfil.false_count:
        yield beam.pvalue.TaggedOutput("filtered", rows.filter(pc.invert(fulfil)))


def _applied(function: Callable[..., Any], *of: _Evaluate) -> _Evaluate:
    return lambda columns: function(*(evaluate(columns) for evaluate in of))


def _folded(function: Callable[[Any, Any], Any], of: list[_Evaluate]) -> _Evaluate:
    def evaluate(columns: Mapping[str, pa.Array]) -> Any:
        value = of[0](columns)
        for one in of[1:]:
            value = function(value, one(columns))
        return value

    return evaluate


def _depth(root: ast.expr) -> int:
    depth, level = 0, [root]
    while level:
        depth += 1
        level = [child for node in level for child in ast.iter_child_nodes(node)]  # type: ignore[misc]
    return depth


def _number(value: float) -> pa.Scalar:
    """Whole numbers of 64 bits are compared as such: an identifier is not its neighbour."""
    whole = isinstance(value, int) and -(2**63) <= value < 2**63
    return pa.scalar(value if whole else float(value), pa.int64() if whole else pa.float64())


def _numbers(column: pa.Array) -> pa.Array:
    if column.null_count == len(column):  # and so of any type
        return pa.nulls(len(column), pa.float64())
    if pa.types.is_integer(column.type) and column.type != pa.uint64():
        return column.cast(pa.int64())
    if not any(is_kind(column.type) for is_kind in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)):
        raise pa.ArrowInvalid("these are no numbers")
    return column.cast(pa.float64(), safe=False)


def _comparable(kind: Kind) -> Kind:
    """What a field is to a condition; where it may be anything, its use has to tell."""
    return "numeric" if kind in {"integer", "real", "number"} else kind


def _column(rows: pa.RecordBatch, path: str, kind: Kind) -> pa.Array:
    column = column_at(rows, path)
    if kind == "any":
        return column
    try:
        return _numbers(column) if kind == "numeric" else column.cast(_TYPES[kind])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"the field {path} must be {_NAMES[kind]} for its condition, got {column.type}") from error
