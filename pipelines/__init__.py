"""The world: options, input and output, wiring. Each module is a pipeline; `python -m pipelines` lists them."""

try:
    from transforms.origin import require_sibling
except ImportError as error:
    raise ImportError(
        f"streamsketch needs its own package 'transforms' beside {__file__}: another one of that name is found first; "
        "rename it, or run from another folder"
    ) from error

require_sibling("transforms")
