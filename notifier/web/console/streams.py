"""How many live pages each user holds open."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Streams:
    """Counts the streams of this process; one user's open tabs must not take every connection."""

    most: int = 12
    _open: Counter[int] = field(default_factory=Counter)

    def is_full(self, user_id: int) -> bool:
        """Whether the user has as many as anybody may."""
        return self._open[user_id] >= self.most

    @contextmanager
    def hold(self, user_id: int) -> Iterator[None]:
        """Counts one more until it is left."""
        self._open[user_id] += 1
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]
