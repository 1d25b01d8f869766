"""Named choices: models, engines, readers."""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from triggerforge.errors import RegistryError, did_you_mean

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping of names to choices that only `register` adds to, and never twice.

    `kind` is the word that error messages use ("model", "engine").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Gives back a decorator that stores its argument under `name`.

        Raises RegistryError if `name` is taken.
        """

        def store(entry: T) -> T:
            if name in self._entries:
                raise RegistryError(
                    f"{self.kind} {name!r} is registered already; choose another name"
                )
            self._entries[name] = entry
            return entry

        return store

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise RegistryError(f"no {self.kind} {name!r}; {did_you_mean(name, self)}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
