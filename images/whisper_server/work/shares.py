"""How what is limited is shared among clients."""

from collections.abc import Mapping


def refusal(held: Mapping[str | None, int], owner: str | None, limit: int) -> str | None:
    """Why an owner may hold nothing more: `everybody` or `owner`; None when there is room.

    An owner may hold as many as remain free for others, rounded up: the first half of the limit, the next half of what
    remains, and so on. So one client never takes all. None, whoever calls the server past the proxy, may.
    """
    total = sum(held.values())
    if total >= limit:
        return "everybody"
    mine = held.get(owner, 0)
    if owner is not None and mine >= (limit - (total - mine) + 1) // 2:
        return "owner"
    return None
