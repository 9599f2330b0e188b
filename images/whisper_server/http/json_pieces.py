"""JSON objects with long lists, written in pieces: a transcript of 12 hours takes a second."""

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import BaseModel

# What verbose_json holds besides the text; with `word`, the segments of /transcribe hold words.
Granularity = Literal["word", "segment"]


def object_pieces(head: BaseModel, **lists: Iterable[BaseModel] | None) -> Iterator[str]:
    """The JSON of an object whose long lists come last, in pieces of one item.

    pydantic and `json` hold the GIL until they have written all of an object.
    """
    yield head.model_dump_json(exclude=set(lists))[:-1]
    for name, items in lists.items():
        if items is None:
            continue
        separator = f',"{name}":['
        for item in items:
            yield separator + item.model_dump_json(exclude_none=True)
            separator = ","
        yield "]" if separator == "," else f"{separator}]"
    yield "}"
