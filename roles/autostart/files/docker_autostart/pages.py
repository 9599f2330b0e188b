"""The waiting page that browsers get from a non-blocking service while it starts."""

import base64
import hashlib
import html
import string

from aiohttp import web

from docker_autostart.error_responses import error_headers, status_of
from docker_autostart.errors import RequestError

_LIGHT = "color-scheme:light;--back:#fafafa;--text:#1f2328;--dim:#656d76;--line:#d0d7de;--mark:#0969da"
_DARK = "color-scheme:dark;--back:#0d1117;--text:#e6edf3;--dim:#8d96a0;--line:#30363d;--mark:#4493f8"
_THEMES = {
    "light": f":root{{{_LIGHT}}}",
    "dark": f":root{{{_DARK}}}",
}
_AUTO = f":root{{{_LIGHT}}}@media(prefers-color-scheme:dark){{:root{{{_DARK}}}}}"

_STYLE = """
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--back);color:var(--text);
font:16px/1.5 system-ui,sans-serif}
main{max-width:28rem;padding:2rem;text-align:center}
h1{font-size:1.4rem;font-weight:600;margin:0 0 .5rem}
p{color:var(--dim);margin:.5rem 0}
.bar{height:4px;margin:1.5rem 0;border-radius:2px;background:var(--line);overflow:hidden}
.bar i{display:block;height:100%;width:30%;border-radius:2px;background:var(--mark);
animation:run 1.6s ease-in-out infinite}
@keyframes run{from{margin-left:-30%}to{margin-left:100%}}
@media(prefers-reduced-motion:reduce){.bar i{animation:none;width:100%;opacity:.5}}
"""

# Responses of a ready service lack the header that marks this page.
_SCRIPT = """
async function look(){
  try{
    const answer=await fetch(location.href,{method:"HEAD",cache:"no-store",headers:{Accept:"text/html"}});
    if(!answer.headers.has("X-Autostart-Waiting")&&answer.status<500){location.reload();return}
  }catch(error){}
  setTimeout(look,1000);
}
setTimeout(look,1000);
"""

_PAGE = string.Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<title>$name</title>
<style>$style</style>
<noscript><meta http-equiv="refresh" content="$seconds"></noscript>
</head>
<body>
<main>
<h1>$name</h1>
<div class="bar" role="progressbar" aria-label="$message"><i></i></div>
<p>$message</p>
<p>This page goes on by itself.</p>
</main>
<script>$script</script>
</body>
</html>
""")


def waiting_page(name: str, theme: str, error: RequestError) -> web.Response:
    """The response to GET and HEAD that accept text/html, instead of JSON. It loads no external resources."""
    style = _THEMES.get(theme, _AUTO) + _STYLE
    headers = error_headers(error)
    page = _PAGE.substitute(
        name=html.escape(name),
        message=html.escape(error.message),
        style=style,
        script=_SCRIPT,
        seconds=headers.get("Retry-After", "2"),
    )
    headers["X-Autostart-Waiting"] = error.code
    headers["Content-Security-Policy"] = (
        f"default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        f"style-src {_source(style)}; script-src {_source(_SCRIPT)}"
    )
    return web.Response(status=status_of(error), text=page, content_type="text/html", headers=headers)


def _source(inline: str) -> str:
    """The Content-Security-Policy source that allows exactly this inline text (CSP level 2, section 4.2.5)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"
