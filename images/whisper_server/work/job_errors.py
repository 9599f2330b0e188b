"""What the job store refuses. `http.errors` maps these exceptions to HTTP."""


class JobError(Exception):
    """An error that a client is told; its text says what to do."""


class JobNotFound(JobError):
    def __init__(self) -> None:
        super().__init__("There is no such job, or no longer.")


class TooManyJobs(JobError):
    """All clients together, or this one, have as many unfinished jobs as they may; `retry_after` is in seconds."""

    retry_after = 60


class StorageFull(JobError):
    """The disk is full, and nothing was changed; `retry_after` is in seconds."""

    retry_after = 60

    def __init__(self) -> None:
        super().__init__(
            "The server has too little disk space left for this recording. Try again later, or send a smaller one."
        )
