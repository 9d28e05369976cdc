"""Checks `/openapi.json` against the standard, and that `/docs` stands on its own."""

import json
import re
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

from agent_server import AgentServer
from openapi_spec_validator import OpenAPIV31SpecValidator

# What a browser would load, wherever it stands: in markup, in style sheets, in scripts.
LOADED = re.compile(
    r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)\s*=\s*["']?([^"'\s>]+)|"""
    r"""\burl\(\s*["']?([^"')\s]+)|"""
    r"""@import\s+["']([^"']+)|"""
    r"""\b(?:fetch|import)\(\s*["']([^"']+)"""
)
OTHER_HOST = re.compile(r"^(?:https?:)?//")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, AgentServer(sys.argv[1], Path(folder)) as server:
        document = json.loads(get(f"{server.url}/openapi.json"))
        problems = [*document_problems(document), *page_problems(server.url)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(f"{len(problems)} problems")
    operations = sum(len(methods) for methods in document["paths"].values())
    print(f"/openapi.json: a valid OpenAPI {document['openapi']} document, {operations} operations")
    print("/docs: complete, and loads nothing from elsewhere")


def document_problems(document: dict) -> list[str]:
    """Where the document breaks the standard, or promises less than it should."""
    problems = [
        f"/openapi.json: at {'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in OpenAPIV31SpecValidator(document).iter_errors()
    ]
    if not document.get("openapi", "").startswith("3.1."):
        problems.append(f"/openapi.json: expected OpenAPI 3.1, found {document.get('openapi')!r}")
    if not document.get("paths"):
        problems.append("/openapi.json: describes no paths")
    return problems


def page_problems(server: str) -> list[str]:
    """What is missing from the page, or would be fetched from another host."""
    problems = []
    seen = set()
    waiting = [f"{server}/docs"]
    while waiting:
        url = waiting.pop()
        if url in seen:
            continue
        seen.add(url)
        try:
            with urllib.request.urlopen(url, timeout=30) as response:
                base, kind = response.url, response.headers.get_content_type()
                text = response.read().decode(errors="replace")
        except OSError as error:
            problems.append(f"/docs: {url}: {error}")
            continue
        # Bundled scripts are libraries: they mention addresses that they never load.
        if kind not in ("text/html", "text/css"):
            continue
        for groups in LOADED.findall(text):
            target = next(filter(None, groups))
            if target.startswith(("data:", "#")):
                continue
            if OTHER_HOST.match(target):
                problems.append(f"/docs: {url} loads {target}")
            else:
                waiting.append(urllib.parse.urljoin(base, target))
    if len(seen) < 2:
        problems.append("/docs: the page brings no script or style of its own")
    return problems


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as response:
        return response.read().decode()


if __name__ == "__main__":
    main()
