"""Datasets are outside of this engine. Libraries that can do without them import names from here all the same, before they know."""


def from_pandas_refs(*args, **kwargs):
    """Raises NotImplementedError: there are no datasets here."""
    raise NotImplementedError(
        "Datasets (ray.data) are not part of this engine. Work on the data frames themselves, in remote functions or in a library "
        "that has its own."
    )
