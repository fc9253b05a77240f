"""Sketches made of sketches: several answers in one pass, one sketch a key, and a sketch that may be absent.

They are Algebird's product, map and option monoids: https://twitter.github.io/algebird (Boykin, Ritchie and others). A
combination has every law that its parts have, and subtracts if all of them do: `SUBTRACTS` is of the instance here.
"""

# ruff: noqa: SLF001 - the parts of a sketch are sketches, and open to it

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Self, TypeVar

import numpy as np
import pyarrow as pa

from transforms.sketches.keys import Key, group_columns, group_pairs, read_key, write_key
from transforms.sketches.kinds import load
from transforms.sketches.pieces import join_pieces, split_pieces
from transforms.sketches.sealing import Parameters
from transforms.sketches.sketch import Sketch

S = TypeVar("S", bound=Sketch)

_COLUMNAR = (np.ndarray, pa.Array, pa.ChunkedArray, pa.RecordBatch, pa.Table)


class Product(Sketch):
    """Several answers from one pass: every part sees every item, or the field of it that the part names.

    A part is a sketch, or a pair of a field and a sketch; then items are mappings, and `add_many` takes them as a
    record batch, a table or a mapping of columns as well. Parts are held, not copied. An item that one part refuses
    (ValueError) may be in others: put checks before the sketch, or drop the product with the batch.

    >>> from transforms.sketches.bloom import Bloom
    >>> from transforms.sketches.skip_list import SkipList
    >>> visits = Product(users=("user", Bloom.for_error(1000, 0.01)), slowest=("ms", SkipList()))
    >>> visits.add_many({"user": ["ana", "bo"], "ms": [7, 31]}); visits.add({"user": "zoe", "ms": 9})
    >>> "zoe" in visits["users"], visits["slowest"].kth(3)
    (True, 31)
    """

    KIND = "product"

    def __init__(self, **parts: Sketch | tuple[str, Sketch]) -> None:
        if not parts or not all(map(str.isidentifier, parts)):
            raise ValueError(
                f"a product must have parts with names as of variables, got {sorted(parts)}: users=Bloom(...)"
            )
        pairs = {name: part if isinstance(part, tuple) else (None, part) for name, part in sorted(parts.items())}
        self._fields = {name: field for name, (field, _) in pairs.items()}
        self._parts = {name: part for name, (_, part) in pairs.items()}
        self.SUBTRACTS = all(part.SUBTRACTS for part in self._parts.values())  # type: ignore[misc]  # see above

    @property
    def parameters(self) -> Parameters:
        fields = {f"{name}:field": field for name, field in self._fields.items() if field is not None}
        return {key: value for name, part in self._parts.items() for key, value in _nested(name, part)} | fields

    def __getitem__(self, name: str) -> Any:
        """The part of this name."""
        return self._parts[name]

    def add_many(self, values: Any) -> None:
        """Adds items to every part."""
        items = pa.table(dict(values)) if isinstance(values, Mapping) else _sized(values)
        for name, field in self._fields.items():
            self._parts[name].add_many(items if field is None else _field_of(items, field))

    def merge(self, other: Self) -> None:
        """Merges part by part; raises ValueError where a part is unlike."""
        self._require_alike(other)
        for name, part in self._parts.items():
            part.merge(other._parts[name])

    def subtract(self, other: Self) -> None:
        """Subtracts part by part, or raises ValueError and takes nothing."""
        _require_group(self, other)
        self._parts = {name: _difference(part, other._parts[name]) for name, part in self._parts.items()}

    def memory(self) -> int:
        return sum(part.memory() for part in self._parts.values())

    def _payload(self) -> bytes:
        return join_pieces([part.to_bytes() for part in self._parts.values()])

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        names = sorted(name for name in parameters if name.isidentifier())
        fields = [parameters.get(f"{name}:field") for name in names]
        parts = [load(data) for data in split_pieces(payload)]
        pairs: Any = [part if field is None else (field, part) for field, part in zip(fields, parts, strict=True)]
        return _require_parameters(cls(**dict(zip(names, pairs, strict=True))), parameters)


class MapOf(Sketch):
    """One sketch for each key, made when the key first comes.

    Items are pairs of key and item; `add_many` takes pairs, or a record batch or table of two columns. A key is a
    string, an int, None, or a tuple of these; any other raises ValueError. `make` is called once: it gives the empty
    sketch, which is stored once however many keys there are. A key whose sketch is empty again is not stored. Where one
    key's sketch refuses an item (ValueError), those of other keys may have been added: put checks before the sketch.

    >>> from transforms.sketches.skip_list import SkipList
    >>> latencies = MapOf(SkipList)
    >>> latencies.add_many([("en", 20), ("de", 12), ("en", 10)])
    >>> len(latencies), latencies["en"].kth(1), [key for key, _ in latencies.items()]
    (2, 10, ['de', 'en'])
    """

    KIND = "map_of"

    def __init__(self, make: Callable[[], Sketch]) -> None:
        self._empty = make()
        self._parts: dict[Key, Sketch] = {}
        self.SUBTRACTS = self._empty.SUBTRACTS  # type: ignore[misc]  # it depends on the part

    @property
    def parameters(self) -> Parameters:
        return dict(_nested("of", self._empty))

    def __getitem__(self, key: Key) -> Any:
        """The sketch of a key; raises KeyError where the key has not come."""
        return self._parts[key]

    def __contains__(self, key: object) -> bool:
        return key in self._parts

    def __len__(self) -> int:
        return len(self._parts)

    def items(self) -> Iterator[tuple[Key, Any]]:
        """The keys and their sketches, in the order in which they are stored."""
        return iter(sorted(self._parts.items(), key=lambda pair: write_key(pair[0])))

    def add_many(self, values: Any) -> None:
        """Adds pairs of key and item."""
        groups = group_columns(values) if isinstance(values, pa.RecordBatch | pa.Table) else group_pairs(values)
        for key, items in groups:
            self._part(key).add_many(items)

    def merge(self, other: Self) -> None:
        """Merges key by key; raises ValueError where the sketches are unlike."""
        self._require_alike(other)
        for key, part in list(other._parts.items()):
            self._part(key).merge(part)

    def subtract(self, other: Self) -> None:
        """Subtracts key by key, and forgets keys whose sketch is empty then; or raises ValueError and takes nothing."""
        _require_group(self, other)
        nothing = self._empty
        rest = {key: _difference(self._parts.get(key, nothing), part) for key, part in other._parts.items()}
        self._parts |= rest
        for key in [key for key, part in rest.items() if part == nothing]:
            del self._parts[key]

    def memory(self) -> int:
        return sum(len(write_key(key)) + part.memory() for key, part in self._parts.items())

    def _payload(self) -> bytes:
        nothing, pieces = self._empty._payload(), [self._empty.to_bytes()]
        for key, part in self.items():
            if (content := part._payload()) != nothing:
                pieces += [write_key(key), content]
        return join_pieces(pieces)

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        first, *pieces = split_pieces(payload)
        empty: Sketch = load(first)
        keys, contents = pieces[::2], pieces[1::2]
        if any(left >= right for left, right in pairwise(keys)):
            raise ValueError("keys must ascend: these bytes were changed")
        made = cls(lambda: empty)
        for key, content in zip(keys, contents, strict=True):
            made._parts[read_key(key)] = empty._restore(empty.parameters, content)
        return _require_parameters(made, parameters)

    def _part(self, key: Key) -> Sketch:
        if key not in self._parts:
            self._parts[key] = self._empty.copy()
        return self._parts[key]


class Maybe(Sketch):
    """A sketch that is absent until something is added, and costs nothing until then.

    `value` is the sketch or None. None is the zero: that nothing came is told apart from an answer of 0.

    >>> from transforms.sketches.skip_list import SkipList
    >>> slowest = Maybe(SkipList)
    >>> slowest.value is None
    True
    >>> slowest.add(12); slowest.value.kth(1)
    12
    """

    KIND = "maybe"

    def __init__(self, make: Callable[[], Sketch]) -> None:
        self._empty = make()
        self.value: Any = None
        self.SUBTRACTS = self._empty.SUBTRACTS  # type: ignore[misc]  # it depends on the part

    @property
    def parameters(self) -> Parameters:
        return dict(_nested("of", self._empty))

    def add_many(self, values: Any) -> None:
        """Adds items, and makes the sketch where these are the first."""
        items = _sized(values)
        if len(items):
            part = self._empty.copy() if self.value is None else self.value
            part.add_many(items)
            self.value = part

    def merge(self, other: Self) -> None:
        """Merges the sketches that are there; raises ValueError where they are unlike."""
        self._require_alike(other)
        if self.value is None:
            self.value = None if other.value is None else other.value.copy()
        elif other.value is not None:
            self.value.merge(other.value)

    def subtract(self, other: Self) -> None:
        """Subtracts the sketch that is there; an empty one is absent then. Or raises ValueError and takes nothing."""
        _require_group(self, other)
        if other.value is not None:
            rest = _difference(self._empty if self.value is None else self.value, other.value)
            self.value = None if rest == self._empty else rest

    def memory(self) -> int:
        return 0 if self.value is None else int(self.value.memory())

    def _payload(self) -> bytes:
        return join_pieces([self._empty.to_bytes()] + ([] if self.value is None else [self.value._payload()]))

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        first, *contents = split_pieces(payload)
        empty: Sketch = load(first)
        made = cls(lambda: empty)
        if len(contents) > 1:
            raise ValueError(f"there must be one sketch at most, got {len(contents)}")
        for content in contents:
            made.value = empty._restore(empty.parameters, content)
        return _require_parameters(made, parameters)


def _nested(name: str, part: Sketch) -> Iterator[tuple[str, int | float | str]]:
    """A part's kind and parameters, as parameters of what it is a part of."""
    yield name, part.KIND
    for key, value in part.parameters.items():
        yield f"{name}.{key}", value


def _require_parameters(made: S, parameters: Parameters) -> S:
    if made.parameters != parameters:
        raise ValueError(f"the parts must be as the parameters say, {dict(parameters)}, got {made!r}")
    return made


def _require_group(one: Sketch, other: Sketch) -> None:
    one._require_alike(other, "subtract")
    if not one.SUBTRACTS:
        raise ValueError(f"cannot subtract {one!r}: every part must subtract; merge the sketches of what stays instead")


def _difference(part: Any, taken: Sketch) -> Any:
    """A new sketch: what failed half way would otherwise leave a combination that nobody added."""
    rest = part.copy()
    rest.subtract(taken)
    return rest


def _sized(values: Any) -> Any:
    return values if isinstance(values, _COLUMNAR) else list(values)


def _field_of(items: Any, field: str) -> Any:
    try:
        if isinstance(items, pa.RecordBatch | pa.Table):
            return items.column(field)
        return [item[field] for item in items]
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"items must have the field {field!r}: pass mappings, or columns with this name") from error
