"""What can be wrong with a store."""


class StoreError(ValueError):
    """A store that cannot do what was asked: what is there, and what to do."""


class DamagedError(StoreError):
    """A file whose bytes are not what was written."""
