"""Who may be written to, for what, and the proof. Imports nothing of ours; start at README.md."""


class ConsentError(Exception):
    """Something about consent cannot be done as asked; the message says what, where and the remedy.

    The message names no personal data: subjects appear by their random id, addresses never.
    """
