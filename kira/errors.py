"""The one exception that is meant to be read by a person."""


class UserError(Exception):
    """Its text is one sentence that says what is wrong and what to do; it is shown without a traceback."""
