"""Errors that are the user's to mend: each carries one sentence that names the thing and the remedy."""


class UserError(Exception):
    """Something outside the program is wrong; the command line prints the sentence without a traceback."""


class DataError(UserError):
    """A file or folder of data is missing, unreadable or contradicts itself."""


class ConfigError(UserError):
    """A setting is unknown, ill-typed or out of range."""


class StoreError(UserError):
    """The tracking store or study database cannot be read or written."""


class CheckpointError(UserError):
    """A checkpoint cannot be written or does not fit the run that wants to resume from it."""
