import re

import httpx


def test_the_page_and_all_it_loads_come_from_here(http: httpx.Client) -> None:
    page = http.get("/docs").text
    addresses = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page)
    assert len(addresses) == 4
    for address in addresses:
        assert "//" not in address, "relative, so that it holds behind any proxy"
        assert http.get(f"/{address}").status_code == 200
    assert "http" not in page.replace("http-equiv", "")
    assert '"validatorUrl": null' in page


def test_openapi_describes_errors_and_who_may_call(http: httpx.Client) -> None:
    schema = http.get("/openapi.json").json()
    assert schema["components"]["securitySchemes"].keys() == {"apiKey", "basic"}
    post = schema["paths"]["/v1/audio/transcriptions"]["post"]
    assert {"200", "400", "404", "413", "415", "429", "503", "default"} == post["responses"].keys()
    assert "422" not in http.get("/openapi.json").text
    assert "HTTPValidationError" not in http.get("/openapi.json").text


def test_swagger_ui_offers_to_choose_a_file(http: httpx.Client) -> None:
    schema = http.get("/openapi.json").json()
    content = schema["paths"]["/v1/audio/transcriptions"]["post"]["requestBody"]["content"]
    name = content["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]
    form = schema["components"]["schemas"][name]
    assert form["properties"]["file"]["format"] == "binary"
