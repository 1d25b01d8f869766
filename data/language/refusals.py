"""Why an expression is refused, and where."""

from typing import Literal

from triggerforge.errors import DataError

Reason = Literal["syntax", "parentheses", "kind", "lists", "lengths", "overflow", "inexact"]
"""what the text, the kinds of the columns, or a number of an event forbid; docs/expressions.md"""


class ExpressionError(DataError):
    """An expression `text` has no value, and `what` says why.

    `row` is the row of the columns that forbids it, None where the text or the kinds do; `number` is
    what the message calls its event.
    """

    def __init__(
        self,
        text: str,
        what: str,
        reason: Reason,
        row: int | None = None,
        number: int | None = None,
    ) -> None:
        where = "" if number is None else f"event {number}: "
        super().__init__(f"{text!r}: {where}{what}")
        self.reason: Reason = reason
        self.row = row


class Refusal(Exception):
    """Raised inside an operation: the reason, and the index of the first number that it is about."""

    def __init__(self, reason: Reason, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.index = index
