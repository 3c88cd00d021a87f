"""Where the time goes: a function profile of a child, kept in a file."""

import cProfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def profiled(file: str) -> Iterator[None]:
    """Profile the block into `file`; "" = do not."""
    if not file:
        yield
        return
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        profile.dump_stats(file)
