"""`files`: files with their content, directories and symlinks, with owner and mode.

All entries are compared with the host in one round trip. Only entries that differ are passed to `ansible.builtin.copy`
and `ansible.builtin.file`, which provide check mode, diffs and `validate`. Returns `changed_paths`.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# One line per existing path: type, mode, owner, group, link target, path. Then the checksums of files.
_LOOK = """
find "$@" -maxdepth 0 -printf '%y\\t%m\\t%u\\t%g\\t%l\\t%p\\n' 2>/dev/null
sha256sum -- "$@" 2>/dev/null
exit 0
"""

_ENTRY = {
    "path": {"type": "str", "required": True},
    "state": {"choices": ["file", "directory", "link", "absent"], "default": "file"},
    "content": {"type": "str"},
    "target": {"type": "str"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str"},
    "validate": {"type": "str"},
    "force": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        spec = {
            "entries": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": _ENTRY,
                "required_if": [("state", "file", ["content"]), ("state", "link", ["target"])],
            }
        }
        _, args = self.validate_argument_spec(spec)
        entries = [_with_mode(entry) for entry in args["entries"]]
        seen = self._look([entry["path"] for entry in entries], task_vars)
        result: dict[str, Any] = {"changed": False, "changed_paths": [], "diff": []}
        for entry in entries:
            if _wanted(entry) == seen.get(entry["path"]):
                continue
            done = self._hand_over(entry, task_vars)
            if done.get("failed"):
                return result | {"failed": True, "msg": f"{entry['path']}: {done.get('msg')}"}
            if done.get("changed"):
                result["changed"] = True
                result["changed_paths"].append(entry["path"])
                differences = done.get("diff", [])
                result["diff"] += differences if isinstance(differences, list) else [differences]
        return result

    def _look(self, paths: Sequence[str], task_vars: dict[str, Any] | None) -> dict[str, tuple[str, ...]]:
        """What is at the paths, as `_wanted` has it; nothing about a path where there is nothing."""
        answer = self._act("probe", {"argv": ["sh", "-c", _LOOK, "sh", *paths]}, task_vars)
        seen: dict[str, tuple[str, ...]] = {}
        for line in answer["stdout_lines"]:
            kind, *rest = line.split("\t")
            if rest:
                mode, owner, group, target, path = rest
                seen[path] = ("l", target) if kind == "l" else (kind, mode, owner, group)
            else:
                checksum, path = line.split("  ", 1)
                if seen[path][0] == "f":  # sha256sum follows a link
                    seen[path] += (checksum,)
        return seen

    def _hand_over(self, entry: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        path, state = entry["path"], entry["state"]
        rights = {name: entry[name] for name in ("owner", "group", "mode")}
        match state:
            case "file":
                wanted = {"content": entry["content"], "dest": path, "validate": entry["validate"]} | rights
                return self._act("ansible.legacy.copy", {k: v for k, v in wanted.items() if v is not None}, task_vars)
            case "directory":
                wanted = {"path": path, "state": state} | rights
            case "link":
                wanted = {"path": path, "state": state, "src": entry["target"], "follow": False}
                wanted["force"] = entry["force"] or self._task.check_mode
            case _:
                wanted = {"path": path, "state": state}
        done: dict[str, Any] = self._execute_module("ansible.legacy.file", wanted, task_vars=task_vars)
        return done

    def _act(self, name: str, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The result of another action, as if the task had named it."""
        task = self._task.copy()
        task.args = args
        action = self._shared_loader_obj.action_loader.get(
            name,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        result: dict[str, Any] = action.run(task_vars=task_vars)
        return result


def _with_mode(entry: dict[str, Any]) -> dict[str, Any]:
    if not entry["path"].startswith("/"):
        raise AnsibleActionFail(f"{entry['path']} is not an absolute path: it has to start with /.")
    mode = entry["mode"] or ("0755" if entry["state"] == "directory" else "0644")
    if not mode.isdecimal():
        raise AnsibleActionFail(f'{mode} of {entry["path"]} is no octal mode in quotes, as "0644".')
    return entry | {"mode": mode}


def _wanted(entry: dict[str, Any]) -> tuple[str, ...] | None:
    rights = (f"{int(entry['mode'], 8):o}", entry["owner"], entry["group"])
    match entry["state"]:
        case "file":
            return ("f", *rights, hashlib.sha256(entry["content"].encode()).hexdigest())
        case "directory":
            return ("d", *rights)
        case "link":
            return ("l", entry["target"])
        case _:
            return None
