"""What can go wrong, in the Hub's own terms, each with the status and the `X-Error-Code` that its clients look for."""


class HubError(Exception):
    status = 400
    code: str | None = None

    def __init__(self, message: str, headers: dict[str, str] | None = None, **details: str):
        super().__init__(message)
        self.message = message
        self.headers = headers or {}
        self.details = details  # further fields of the JSON answer


class Invalid(HubError):
    pass


class InvalidPath(Invalid):
    status = 422


class Unauthorized(HubError):
    status = 401


class Forbidden(HubError):
    status = 403


class Gated(Forbidden):
    code = "GatedRepo"


class NotFound(HubError):
    status = 404


class RepoNotFound(HubError):
    status, code = 404, "RepoNotFound"


class RevisionNotFound(HubError):
    status, code = 404, "RevisionNotFound"


class EntryNotFound(HubError):
    status, code = 404, "EntryNotFound"


class Conflict(HubError):
    status = 409


class Stale(HubError):
    status = 412


class NotBuilt(HubError):
    status = 501


class DiskFull(HubError):
    status = 507
