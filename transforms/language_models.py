"""What tells the language of texts, in a file: a classifier, or the clusters of a model that train_language wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from models.language import artifact
from models.language.artifact import LanguageModel
from models.language.classifier import LanguageClassifier, default
from models.language.counts import UNDECIDED
from models.language.sealed_file import kind_of

AnyModel: TypeAlias = LanguageClassifier | LanguageModel


def load_any(path: str = "") -> AnyModel:
    """The model in a file, a classifier or clusters, as the file says; "" is the classifier that comes along.

    Raises ValueError where there is no file, or no sound model in it.
    """
    if not path:
        return default()
    if not FileSystems.exists(path):
        raise ValueError(f"there is no model {path!r}: leave it out for the one that comes with the package")
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        data = stream.read()
    return (LanguageModel if kind_of(data) == artifact.KIND else LanguageClassifier).from_bytes(data)


def languages_of(model: AnyModel, texts: Sequence[str], min_confidence: float = 0.0) -> list[str]:
    """The language of each text, `und` where nobody can tell: a classifier's, or that of most of a cluster in training.

    Clusters tell no confidence.
    """
    if isinstance(model, LanguageClassifier):
        return model.predict(texts, min_confidence).labels
    majorities = [model.majority(cluster) or UNDECIDED for cluster in range(len(model.sizes))]
    return [majorities[cluster] for cluster in model.predict(texts).tolist()]
