"""What makes a test method of a contract a promise: its failure names the promise and the module."""

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import pytest

from torchrec_ext.testing.case import Case

_Test = TypeVar("_Test", bound=Callable[..., None])


class BrokenPromise(AssertionError):
    """A module does not keep a promise of its contract."""


def promise(test: _Test) -> _Test:
    """Makes a test method a promise.

    Any error that it raises becomes a :class:`BrokenPromise` with the module, the name of the promise and the
    first line of the method's docstring.
    """
    name = test.__name__.removeprefix("test_")
    promised = (test.__doc__ or "").strip().partition("\n")[0]

    @functools.wraps(test)
    def kept(self: Any, case: Case) -> None:
        try:
            test(self, case)
        except (Exception, pytest.fail.Exception) as error:
            happened = str(error)
            if not isinstance(error, (AssertionError, pytest.fail.Exception)):
                happened = f"it raised {type(error).__name__}: {error}"
            raise BrokenPromise(f"{case} breaks the promise {name!r}. {promised}\n{happened}") from error

    kept.is_promise = True  # type: ignore[attr-defined]
    return kept  # type: ignore[return-value]


def promises(contract: type) -> dict[str, str]:
    """The promises of a contract class, by name, and what each promises in one line.

    Example:
        >>> from torchrec_ext.testing import ScorerContract
        >>> promises(ScorerContract)["an_index_gives_the_same_scores"]
        'Dot products of ``index_vectors`` are the scores of a scorer that is indexable.'
    """
    tests = {name: getattr(contract, name) for name in dir(contract) if name.startswith("test_")}
    return {
        name.removeprefix("test_"): (test.__doc__ or "").strip().partition("\n")[0]
        for name, test in tests.items()
        if hasattr(test, "is_promise")
    }


def slow(tried_on: Literal["each case", "each class", "one case"] = "each case") -> Callable[[_Test], _Test]:
    """Marks a promise as one that takes long: ``-m "not slow"`` leaves it out.

    Args:
        tried_on: each case, the first case of each class, or the first case alone.
    """

    def mark(test: _Test) -> _Test:
        test.tried_on = tried_on  # type: ignore[attr-defined]
        return test

    return mark


def is_slow(test: Callable[..., None]) -> bool:
    """Whether a promise takes long."""
    return hasattr(test, "tried_on")
