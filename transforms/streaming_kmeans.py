"""K-means over a stream of texts in Beam: a model for each window, which forgets with a half-life."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import apache_beam as beam

from models.language.features import Featurizer
from models.language.streaming_kmeans import StreamingKMeans
from transforms.updating import UpdateStateByKey
from transforms.windowing import WindowPolicy


@dataclass(eq=False, kw_only=True)
class FollowClusters(beam.PTransform):
    """The clusters after each window: PCollection[str] -> PCollection[bytes], of StreamingKMeans, one for each window.

    A window's texts are a batch, in the order of event time, whatever the order of arrival: so windows that hold the
    same texts tell the same bytes, in batch and in a stream. `start` is what to begin with, as `to_bytes` has it.
    Windows follow one another on one worker, which takes in some hundred thousand texts a second.
    """

    start: bytes
    featurizer: Featurizer
    window: WindowPolicy
    half_life: float | None = None  # in windows
    timeout: float | str = "1d"  # how long windows without texts are told, too

    def __post_init__(self) -> None:
        super().__init__()
        StreamingKMeans.from_bytes(self.start, self.half_life)

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        return (
            texts
            | "AllTogether" >> beam.WithKeys(0).with_output_types(tuple[int, str])
            | "Follow" >> UpdateStateByKey(self._update, state=bytes, window=self.window, timeout=self.timeout)
            | "Clusters" >> beam.Values().with_output_types(bytes)
        )

    def _update(self, texts: Sequence[str], before: bytes | None) -> bytes:
        model = StreamingKMeans.from_bytes(before or self.start, self.half_life)
        model.update(model.around(self.featurizer.transform(texts)))
        return model.to_bytes()
