"""The two errors that a user is meant to read."""


class InputError(Exception):
    """Something a user supplied cannot be used: a raw file, a parameter, a rule, a folder.

    The message is one line: what is wrong, where it is, and what to do. Commands exit with 2.
    """

    def __init__(self, where: str, what: str, do: str) -> None:
        super().__init__(where, what, do)
        self.where, self.what, self.do = where, what, do

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.do}."


class StepFailed(Exception):
    """A notebook did not reach its end; the message says which cell, what, and where to read on."""
