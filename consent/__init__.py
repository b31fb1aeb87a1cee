"""Who may be written to, for what, and the proof. Imports nothing of ours; start at README.md."""


class ConsentError(Exception):
    """Something a person can mend; the message says what, where and how, and names no personal data."""
