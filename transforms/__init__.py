"""Beam: PCollection in, PCollection out; what a pipeline computes, without a flag or an address."""

from transforms.origin import require_sibling

require_sibling("models")
