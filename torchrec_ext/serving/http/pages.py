"""The page at ``/`` and the description of the routes at ``/docs``: files of the package, read once."""

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

from torchrec_ext.serving.http.errors import error_answer

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def page_routes() -> APIRouter:
    """The routes of the page, which the description of the service leaves out."""
    router = APIRouter(include_in_schema=False)
    folder = files("torchrec_ext.serving.http") / "page"
    contents = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}

    @router.get("/")
    async def page() -> Response:
        return _file("index.html")

    @router.get("/docs")
    async def description() -> Response:
        return _file("docs.html")

    @router.get("/page/{name}")
    async def part(name: str) -> Response:
        if name not in contents:
            return error_answer(404, "there is no such file of the page")
        return _file(name)

    def _file(name: str) -> Response:
        kind = _TYPES[name.rpartition(".")[2]]
        return Response(contents[name], headers=_HEADERS, media_type=kind)

    return router
