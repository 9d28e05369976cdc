"""Messages for the server's built-in scripted model, which does what a message tells it to."""

import json


def script(*steps: dict) -> str:
    """A message that has these steps carried out; after the last one the agent finishes."""
    return "Please do this:\n```json\n" + json.dumps(list(steps), indent=1) + "\n```\n"


def terminal(command: str, **more: object) -> dict:
    return {"tool": "terminal", "args": {"command": command}, **more}


def create_file(path: object, text: str) -> dict:
    return {
        "tool": "file_editor",
        "args": {"command": "create", "path": str(path), "file_text": text},
    }


def replace_in_file(path: object, old: str, new: str) -> dict:
    return {
        "tool": "file_editor",
        "args": {"command": "str_replace", "path": str(path), "old_str": old, "new_str": new},
    }
