"""Why an expression is refused, and where."""

from typing import Literal

from triggerforge.errors import DataError

Reason = Literal["syntax", "parentheses", "kind", "lists", "lengths", "overflow", "inexact"]
"""what the text, the kinds of the columns, or a number of an event forbid; docs/expressions.md"""


class ExpressionError(DataError):
    """An expression has no value.

    `row` is the event (row of the columns) that forbids it; None where the text or the kinds do.
    """

    def __init__(self, message: str, reason: Reason, row: int | None = None) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.row = row


class Refusal(Exception):
    """Raised inside an operation: the reason, and the index of the first number that it is about."""

    def __init__(self, reason: Reason, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.index = index
