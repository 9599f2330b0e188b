"""Shares limited resources among clients."""

from collections.abc import Mapping


def refusal(held: Mapping[str | None, int], owner: str | None, limit: int) -> str | None:
    """Which limit prevents an owner from holding more: `everybody` or `owner`; None if there is room.

    An owner may hold as many as remain free for others, rounded up: the first owner half of the limit, the next half of
    the rest, and so on, so that no client takes all. That does not apply to the owner None, which bypasses the proxy.
    """
    total = sum(held.values())
    if total >= limit:
        return "everybody"
    mine = held.get(owner, 0)
    if owner is not None and mine >= (limit - (total - mine) + 1) // 2:
        return "owner"
    return None
