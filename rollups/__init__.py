"""Stored answers: sketches of every window, written behind a stream, and any range of time answered from them.

A `Store` keeps, for each window and key, one sketch for each measure, in SQLite or PostgreSQL; a tree of merged windows
above them answers any range in a number of reads that grows with its logarithm. Free of Beam.
"""

from rollups.errors import StoreError
from rollups.leaves import Leaf, StoredMeasure
from rollups.store import Store

__all__ = ["Leaf", "Store", "StoreError", "StoredMeasure"]
