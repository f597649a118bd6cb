"""HTTP as the checks speak it: one kept-alive client, and answers that know what they should have been."""

import ipaddress
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from smoke.expect import CheckFailed, Unreachable, same, shown

TIMEOUT_S = 10.0
PROBLEM = "application/problem+json"


def is_local(url: str) -> bool:
    """True if *url* names this machine: a proxy of the environment has no business there."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer: its request line, status, content type and decoded body (text if it is not JSON)."""

    request: str
    status: int
    headers: httpx.Headers
    body: Any

    @property
    def kind(self) -> str:
        """The media type without parameters."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip()

    @property
    def code(self) -> Any:
        """The problem's code, else the status."""
        return self.body["code"] if isinstance(self.body, dict) and "code" in self.body else self.status

    def must_be(self, *statuses: int) -> Any:
        """The body, if the status is one of *statuses*; raises `CheckFailed` naming what came instead."""
        if self.status not in statuses:
            wanted = " or ".join(map(str, statuses))
            raise CheckFailed(f"{self.request}: expected {wanted}, saw {self.status} {self._summary()}")
        return self.body

    def must_have(self, status: int, field: str) -> Any:
        """The body's *field*, if the status is *status* and the field is there."""
        body = self.must_be(status)
        if not isinstance(body, dict) or field not in body:
            raise CheckFailed(f"{self.request}: expected {status} with {field!r}, saw {shown(body)}")
        return body[field]

    def must_be_problem(self, status: int, code: str, *, field: str | None = None) -> None:
        """Raise `CheckFailed` unless this is the documented problem, with its media type and its fields."""
        body = self.body if isinstance(self.body, dict) else {}
        if (self.status, body.get("code")) != (status, code):
            raise CheckFailed(f"{self.request}: expected {status} {code}, saw {self.status} {self._summary()}")
        same(f"{self.request}: content type of the {code} answer", self.kind, PROBLEM)
        same(f"{self.request}: status inside the problem", body.get("status"), status)
        missing = {"type", "title", "detail"} - set(body)
        if missing:
            raise CheckFailed(f"{self.request}: the problem lacks {', '.join(sorted(missing))}: {shown(body)}")
        if field is not None:
            same(f"{self.request}: field named by {code}", body.get("field"), field)

    def _summary(self) -> str:
        if isinstance(self.body, dict) and "code" in self.body:
            return f"{self.body['code']}: {self.body.get('detail', '')}"
        return shown(self.body) if self.body not in ("", None) else "and an empty body"


class Http:
    """The service at *url*; `token` is sent with every call while it is set. Calls raise `Unreachable` if it is."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.token = token
        secure = self.url.startswith("https:")  # certificates are only read where they are needed: that takes a while
        self._client = httpx.Client(base_url=self.url, timeout=TIMEOUT_S, trust_env=not is_local(url), verify=secure)

    def close(self) -> None:
        """Close the kept-alive connections."""
        self._client.close()

    def get(self, path: str, **params: Any) -> Answer:
        """GET with *params* as the query."""
        return self.call("GET", path, params=params or None)

    def post(self, path: str, body: Any = None) -> Answer:
        """POST *body* as JSON; without one, an empty request."""
        return self.call("POST", path, json=body)

    def patch(self, path: str, body: Any) -> Answer:
        """PATCH with *body* as JSON."""
        return self.call("PATCH", path, json=body)

    def put(self, path: str) -> Answer:
        """PUT without a body."""
        return self.call("PUT", path)

    def delete(self, path: str, body: Any = None) -> Answer:
        """DELETE, with *body* as JSON if given."""
        return self.call("DELETE", path, json=body)

    def call(self, method: str, path: str, **arguments: Any) -> Answer:
        """One request. The token is a header, never part of what an error shows."""
        headers = dict(arguments.pop("headers", None) or {})
        if (body := arguments.pop("json", None)) is not None:
            headers["Content-Type"] = "application/json"
            arguments["content"] = json.dumps(body)  # escapes, so that half a surrogate reaches the service too
        if self.token and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {self.token}"
        request = f"{method} {path}"
        try:
            answer = self._client.request(method, path, headers=headers, **arguments)
        except httpx.TimeoutException:
            raise Unreachable(
                f"{request}: expected an answer from {self.url} within {TIMEOUT_S:g} s, saw none"
            ) from None
        except httpx.TransportError as error:
            raise Unreachable(
                f"{request}: expected an answer from {self.url}, saw {str(error) or type(error).__name__}"
            ) from None
        return Answer(request, answer.status_code, answer.headers, _decoded(answer))


def _decoded(answer: httpx.Response) -> Any:
    if "json" not in answer.headers.get("content-type", ""):
        return answer.text
    try:
        return answer.json()
    except ValueError:
        return answer.text
