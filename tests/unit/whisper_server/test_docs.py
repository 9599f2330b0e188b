import base64
import hashlib
import re

import httpx
import pytest

from tests.unit.whisper_server.sound import FILE


def test_the_page_and_all_it_loads_come_from_here(http: httpx.Client) -> None:
    page = http.get("/docs").text
    addresses = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page)
    assert len(addresses) == 4
    for address in addresses:
        assert "//" not in address, "relative, so that it holds behind any proxy"
        assert http.get(f"/{address}").status_code == 200
    assert "http" not in page.replace("http-equiv", "")
    assert '"validatorUrl": null' in page


def test_the_page_runs_nothing_but_what_it_is_made_of(http: httpx.Client) -> None:
    answer = http.get("/docs")
    directives = dict(part.split(maxsplit=1) for part in answer.headers["content-security-policy"].split("; "))
    assert directives["default-src"] == directives["frame-ancestors"] == "'none'"
    assert "unsafe" not in str(directives)
    assert "//" not in str(directives)
    inline = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    assert inline
    for script in inline:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in directives["script-src"].split()
    assert not re.search(r"<style|\sstyle=|\son\w+=", answer.text)


def test_openapi_describes_errors_and_who_may_call(http: httpx.Client) -> None:
    schema = http.get("/openapi.json").json()
    assert schema["components"]["securitySchemes"].keys() == {"apiKey", "basic"}
    post = schema["paths"]["/v1/audio/transcriptions"]["post"]
    assert {"200", "202", "400", "404", "413", "415", "429", "503", "default"} == post["responses"].keys()
    assert "422" not in http.get("/openapi.json").text
    assert "HTTPValidationError" not in http.get("/openapi.json").text


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations"])
def test_a_form_runs_as_swagger_ui_fills_it_in(http: httpx.Client, path: str) -> None:
    """Every field with its example or default, as "Try it out" and "Execute" send it once a file is chosen."""
    schema = http.get("/openapi.json").json()
    (content,) = schema["paths"][path]["post"]["requestBody"]["content"].values()
    form = schema["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    assert form["properties"]["file"]["format"] == "binary"
    assert all("description" in field for field in form["properties"].values())
    filled = {
        name: field.get("examples", [field.get("default")])[0]
        for name, field in form["properties"].items()
        if name not in form["required"]
    }
    sent = {name: str(value).lower() if isinstance(value, bool) else value for name, value in filled.items()}
    answer = http.post(path, files=FILE, data={name: value for name, value in sent.items() if value is not None})
    assert answer.status_code == 200, answer.text


def test_parameters_have_examples_that_exist(http: httpx.Client) -> None:
    schema = http.get("/openapi.json").json()
    for operation in schema["paths"]["/v1/models/{model}"].values():
        (model,) = [parameter for parameter in operation["parameters"] if parameter["name"] == "model"]
        assert http.get(f"/v1/models/{model['example']}").status_code == 200


def test_all_languages_are_offered(http: httpx.Client) -> None:
    schemas = http.get("/openapi.json").json()["components"]["schemas"].values()
    (language,) = [
        form["properties"]["language"] for form in schemas if "chunking_strategy" in form.get("properties", {})
    ]
    assert language["enum"] == ["", "en", "fr"]
