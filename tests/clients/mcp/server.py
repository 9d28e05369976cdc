"""A server made with fastmcp; its first argument is a port, or nothing for pipes."""

import base64
import sys

from fastmcp import Context, FastMCP
from fastmcp.utilities.types import Image
from mcp.types import ToolListChangedNotification

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
server = FastMCP("made with fastmcp")


@server.tool(annotations={"readOnlyHint": True})
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool
def fail() -> str:
    """Fails always."""
    raise ValueError("it failed on purpose")


@server.tool
def picture() -> Image:
    """Gives an image of one pixel."""
    return Image(data=PIXEL, format="png")


@server.tool
async def grow(context: Context) -> str:
    """Adds a tool called `grown`."""

    def grown() -> str:
        """Was added later."""
        return "grown indeed"

    server.tool(grown)
    await context.send_notification(ToolListChangedNotification())
    return "there is one more"


if len(sys.argv) > 1:
    server.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False)
else:
    server.run(show_banner=False)
