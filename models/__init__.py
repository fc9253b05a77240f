"""Learning, without Beam: text in, label out."""
