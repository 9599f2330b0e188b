"""`probe`: runs a read-only command on the host, in check mode too.

`ansible.builtin.command` copies a module to the host and starts Python for it, which takes several times as long.
Returns `rc`, `stdout` and `stderr` without trailing newlines, and `stdout_lines`; fails unless `rc` is 0.
"""

import shlex
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        spec = {"argv": {"type": "list", "elements": "str", "required": True}}
        _, args = self.validate_argument_spec(spec)
        if not self._connection.is_pipelining_enabled():
            self._task.check_mode = False
            command = {"argv": args["argv"], "expand_argument_vars": False}
            run: dict[str, Any] = self._execute_module("ansible.legacy.command", command, task_vars=task_vars)
            return run | {"changed": False}
        # As input of a shell, like modules: without, ssh would allocate a terminal, which merges stdout and stderr.
        script = f"exec env {self._compute_environment_string()} {shlex.join(args['argv'])}\n"
        done = self._low_level_execute_command("/bin/sh", in_data=script.encode())
        result = {"changed": False, "failed": done["rc"] != 0, "rc": done["rc"]}
        result |= {name: done[name].rstrip("\r\n") for name in ("stdout", "stderr")}
        if result["failed"]:
            result["msg"] = f"{args['argv'][0]} ended with {result['rc']}: {result['stderr'] or result['stdout']}"
        return result | {"stdout_lines": result["stdout"].splitlines()}
