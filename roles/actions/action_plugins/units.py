"""`units`: systemd units that are running and enabled.

All are inspected in one round trip; only units that differ are passed to `ansible.builtin.systemd_service`.
"""

from typing import Any

from ansible.plugins.action import ActionBase

_RUNS_NOW_AND_AT_EVERY_BOOT = {"ActiveState=active", "UnitFileState=enabled"}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible has no types
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec({"names": {"type": "list", "elements": "str", "required": True}})
        result: dict[str, Any] = {"changed": False}
        for name, properties in zip(args["names"], self._look(args["names"], task_vars), strict=True):
            if properties == _RUNS_NOW_AND_AT_EVERY_BOOT:
                continue
            wanted = {"name": name, "state": "started", "enabled": True}
            done = self._execute_module("ansible.legacy.systemd_service", wanted, task_vars=task_vars)
            if done.get("failed"):
                return result | {"failed": True, "msg": f"{name}: {done.get('msg')}"}
            result["changed"] |= done.get("changed", False)
        return result

    def _look(self, names: list[str], task_vars: dict[str, Any] | None) -> list[set[str]]:
        """Return the properties of each unit; systemd prints a paragraph per unit, in the given order."""
        # As `_act` of files.py: Ansible loads each action plugin of a role alone, so that one cannot import another.
        task = self._task.copy()
        task.args = {"argv": ["systemctl", "show", "--property=ActiveState,UnitFileState", "--", *names]}
        probe = self._shared_loader_obj.action_loader.get(
            "probe",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        paragraphs = probe.run(task_vars=task_vars).get("stdout", "").split("\n\n")
        seen = [set(paragraph.split()) for paragraph in paragraphs]
        return seen if len(seen) == len(names) else [set() for _ in names]
