"""State for the next process of the daemon. It is below /run because loop times are only valid until a reboot."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from docker_autostart.fleet import Fleet, Remembered

log = logging.getLogger("docker_autostart")


def recall(path: Path) -> Mapping[str, Remembered]:
    """Read the state by host. Without a valid file it is empty: running services then count as used just now."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {host: Remembered(float(each["last_used"]), bool(each["pinned"])) for host, each in known.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("%s is not used: %r", path, error)
        return {}


def remember(path: Path, fleet: Fleet, now: float) -> None:
    """`now` is loop time; services in use count as used at that time."""
    known = {
        host: {
            "last_used": now if service.in_use or service.clock.last_used is None else service.clock.last_used,
            "pinned": service.clock.pinned,
        }
        for host, service in fleet.services.items()
    }
    draft = path.with_suffix(".new")
    try:
        draft.write_text(json.dumps(known), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        log.warning("%s cannot be written: %s", path, error)
