"""What the deployed host must look like, seen from the host itself."""

import json
import re

import pytest
from testinfra.host import Host

SECRET = "molecule-key-0123456789abcdef0123456789"


def listeners(host: Host) -> dict[int, set[str]]:
    """Ports of the host → the addresses on which something listens."""
    found: dict[int, set[str]] = {}
    for line in host.check_output("ss --no-header --listening --tcp --numeric").splitlines():
        address, _, port = line.split()[3].rpartition(":")
        found.setdefault(int(port), set()).add(address)
    return found


@pytest.mark.parametrize("port", [8001, 8890])
def test_service_and_daemon_listen_on_the_loopback_only(host: Host, port: int) -> None:
    assert listeners(host)[port] == {"127.0.0.1"}


def test_nothing_else_than_sshd_and_nginx_listens_to_the_world(host: Host) -> None:
    public = {
        port
        for port, addresses in listeners(host).items()
        if any(not address.startswith(("127.", "[::1]")) for address in addresses)
    }
    assert public == {22, 80, 443}


@pytest.mark.parametrize("name", ["docker", "docker-autostart", "nginx"])
def test_services_run_now_and_after_a_reboot(host: Host, name: str) -> None:
    service = host.service(name)
    assert service.is_running
    assert service.is_enabled


def test_the_container_can_do_no_more_than_it_must(host: Host) -> None:
    container = json.loads(host.check_output("docker container inspect faster-whisper"))[0]
    limits = container["HostConfig"]
    assert container["State"]["Health"]["Status"] == "healthy"
    assert limits["ReadonlyRootfs"]
    assert limits["CapDrop"] == ["ALL"]
    assert limits["SecurityOpt"] == ["no-new-privileges:true"]
    assert limits["RestartPolicy"]["Name"] == "no"
    assert limits["Memory"] == 2 * 1024**3
    assert host.check_output("docker exec faster-whisper id -u") == "10001"


def test_the_image_is_small_and_holds_no_torch(host: Host) -> None:
    image = host.check_output("docker container inspect --format '{{.Config.Image}}' faster-whisper")
    assert re.fullmatch(r"whisper-faster:[0-9a-f]{12}", image)
    size = int(host.check_output("docker image inspect --format '{{.Size}}' %s", image))
    assert size < 700_000_000
    assert host.run("docker exec faster-whisper python -c 'import torch'").stderr.endswith(
        "ModuleNotFoundError: No module named 'torch'\n"
    )


def test_the_folder_is_the_one_of_the_guide_and_compose_reads_it(host: Host) -> None:
    assert host.file("/opt/whisper-faster/docker-compose.yml").is_file
    services = host.check_output("docker compose --project-directory /opt/whisper-faster config --services")
    assert services == "faster-whisper"
    names = host.check_output("docker compose --project-directory /opt/whisper-faster ps --format '{{.Name}}'")
    assert names == "faster-whisper"


def test_logs_are_rotated_and_containers_survive_an_upgrade_of_the_engine(host: Host) -> None:
    options = json.loads(host.file("/etc/docker/daemon.json").content_string)
    assert options["live-restore"] is True
    assert options["log-opts"] == {"max-size": "10m", "max-file": "3"}


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/etc/nginx/.htpasswd", 0o640),
        ("/etc/nginx/whisper-services-api-keys.map", 0o600),
        ("/etc/ssl/whisper-services/ca/privkey.pem", 0o600),
        ("/etc/ssl/whisper-services/whisper.default.localhost/privkey.pem", 0o600),
    ],
)
def test_secrets_are_for_root(host: Host, path: str, mode: int) -> None:
    file = host.file(path)
    assert file.user == "root"
    assert file.mode == mode


def test_no_secret_shows(host: Host) -> None:
    """The key was used by the deployment's own check: neither logs nor containers nor processes know it."""
    shown = {
        "log of nginx": host.check_output("cat /var/log/nginx/whisper-services.log"),
        "log of the container": host.check_output("docker logs faster-whisper 2>&1"),
        "docker inspect": host.check_output("docker container inspect faster-whisper"),
        "processes": host.check_output("ps -eo args"),
    }
    assert '"key":"molecule-key"' in shown["log of nginx"], "the request with the key is in the log, by the key's name"
    assert [where for where, text in shown.items() if SECRET in text] == []


def test_an_unknown_name_gets_no_answer(host: Host) -> None:
    refused_handshake = host.run("curl --silent --insecure https://127.0.0.1/")
    assert refused_handshake.rc == 35
    empty_answer = host.run("curl --silent --header 'Host: stranger.example.com' http://127.0.0.1/")
    assert empty_answer.rc == 52


def test_plain_http_is_redirected(host: Host) -> None:
    answer = host.check_output(
        "curl --silent --output /dev/null --write-out '%{http_code} %{redirect_url}' "
        "--header 'Host: whisper.default.localhost' 'http://127.0.0.1/docs?a=b'"
    )
    assert answer == "301 https://whisper.default.localhost/docs?a=b"
