"""Errors of the job store. `http.errors` maps these exceptions to HTTP."""


class JobError(Exception):
    """An error whose message is meant for the client, and says what to do."""


class JobNotFound(JobError):
    """The job does not exist, was deleted, or belongs to another client."""

    def __init__(self) -> None:
        super().__init__("There is no such job, or no longer.")


class TooManyJobs(JobError):
    """The client, or all clients together, reached the limit of unfinished jobs; `retry_after` is in seconds."""

    retry_after = 60


class StorageFull(JobError):
    """The disk is full, and nothing was changed; `retry_after` is in seconds."""

    retry_after = 60

    def __init__(self) -> None:
        super().__init__(
            "The server has too little disk space left for this recording. Try again later, or send a smaller one."
        )
