"""What an archive has of packages is what the roles install."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).parents[3] / "roles"
# What Docker's own repository has is for distributions that no archive is made for.
WITHOUT = {"python3-debian"}


def load(path: str) -> Any:
    return yaml.safe_load((ROLES / path).read_text(encoding="utf-8"))


def tasks_in(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks_in(task.get(part, []))


def installations() -> Iterator[tuple[str, str | list[str]]]:
    """Role → what it gives apt to install."""
    for path in sorted(ROLES.glob("*/tasks/*.yml")):
        for task in tasks_in(load(str(path.relative_to(ROLES)))):
            apt = task.get("ansible.builtin.apt", {})
            if "name" in apt and apt.get("state") != "absent":
                role, name = path.parents[1].name, apt["name"]
                variable = str(name).removeprefix("{{ ").removesuffix(" }}")
                yield role, load(f"{role}/vars/main.yml").get(variable, name) if variable.startswith("__") else name


def test_every_package_that_a_role_installs_is_in_it() -> None:
    wanted = set(load("docker/vars/main.yml")["__docker_packages"]["distribution"])
    # A DNS plugin needs a provider's API, which a host without the internet does not reach.
    wanted |= {"python3-cryptography", "certbot"}
    wanted |= {"curl", "prometheus", "prometheus-alertmanager", "prometheus-node-exporter"}
    templated = []
    for role, name in installations():
        if "{{" in str(name):
            templated.append(role)
        else:
            wanted |= {name} if isinstance(name, str) else set(name)
    # Those of the first three are named above, and the role packages installs those of the others.
    assert templated == ["certificates", "docker", "monitoring", "packages"]
    # Ansible itself needs python3-apt on the host.
    assert wanted - WITHOUT | {"python3-apt"} == set(load("bundle/vars/main.yml")["__bundle_packages"])


def test_site_yml_installs_those_of_all_roles_at_once() -> None:
    variables = {
        variable
        for path in ROLES.glob("*/vars/main.yml")
        for variable in load(str(path.relative_to(ROLES)))
        if variable.endswith("_apt_packages")
    }
    plays = yaml.safe_load((ROLES.parent / "site.yml").read_text(encoding="utf-8"))
    (gathered,) = [play["vars"]["packages_names"] for play in plays if "packages_names" in play.get("vars", {})]
    assert {variable for variable in variables if variable not in gathered} == set()
    assert variables
