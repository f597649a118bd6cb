"""The browser client, served from the files beside this module under a strict policy."""

from pathlib import Path

from quart import Quart, Response, abort, request, send_from_directory

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
FALLBACK = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>chat</title>
<p>The server runs; this installation has no web client."""


def add_client(app: Quart, folder: Path) -> None:
    """Serve `/` and `/static/` from *folder*."""

    @app.get("/")
    async def page() -> Response:
        if not (folder / "index.html").is_file():
            return _guarded(Response(FALLBACK, content_type="text/html; charset=utf-8"))
        return _guarded(await _file("index.html"))

    @app.get("/favicon.ico")
    async def icon() -> Response:
        return _guarded(await _file("favicon.ico"))

    @app.get("/static/<path:name>")
    async def file(name: str) -> Response:
        return _guarded(await _file(name))

    async def _file(name: str) -> Response:
        if not name.isprintable() or any(part.startswith(".") for part in name.split("/")):
            abort(404)
        request.headers.pop("Range", None)  # small files: whole, as RFC 9110 section 14.2 allows
        response: Response = await send_from_directory(folder, name)
        return response


def _guarded(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    response.headers["Cache-Control"] = "no-cache"
    return response
