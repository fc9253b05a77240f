"""The language of short texts: character pairs, the clusters they form, and the model that is kept of them."""

from models.language.artifact import LanguageModel, ModelFileError
from models.language.clustering import LloydSums, assign, fit_kmeans, initial_centres
from models.language.evaluation import FilterScore, filter_score, normalized_mutual_information, purity
from models.language.features import Featurizer, Variant

__all__ = [
    "Featurizer",
    "FilterScore",
    "LanguageModel",
    "LloydSums",
    "ModelFileError",
    "Variant",
    "assign",
    "filter_score",
    "fit_kmeans",
    "initial_centres",
    "normalized_mutual_information",
    "purity",
]
