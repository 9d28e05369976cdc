"""Asks the model server of the tests once in each format, streamed and not, with the packages of OpenAI
and Anthropic, which validate every answer and every event, and compares what they understood."""

import json
import subprocess
import sys

import anthropic
import openai

TEXT = "Ich fange an: ü"
THOUGHT = "Grüße zuerst."
CALLS = [("terminal", {"command": "echo ü"}), ("terminal", {"command": "ls"})]
SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}}


def chat(client, stream):
    asked = {
        "model": "fake",
        "messages": [{"role": "user", "content": "go"}],
        "tools": [
            {
                "type": "function",
                "function": {"name": "terminal", "description": "runs", "parameters": SCHEMA},
            }
        ],
    }
    if stream:
        asked["stream_options"] = {"include_usage": True}
        with client.chat.completions.stream(**asked) as events:
            for _ in events:
                pass
            completion = events.get_final_completion()
    else:
        completion = client.chat.completions.create(**asked)
    (choice,) = completion.choices
    assert choice.finish_reason == "tool_calls", choice
    assert completion.usage.total_tokens > 0, completion
    message = choice.message
    ids = [call.id for call in message.tool_calls]
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls]
    return message.reasoning_content, message.content, calls, ids


def responses(client, stream):
    asked = {
        "model": "gpt-5.6",
        "input": [{"role": "user", "content": "go"}],
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "tools": [{"type": "function", "name": "terminal", "strict": False, "parameters": SCHEMA}],
    }
    if stream:
        with client.responses.stream(**asked) as events:
            for _ in events:
                pass
            response = events.get_final_response()
    else:
        response = client.responses.create(**asked)
    assert response.status == "completed", response
    assert response.usage.total_tokens > 0, response
    hidden, thought, message, *calls = response.output
    assert not hidden.summary and hidden.encrypted_content and thought.encrypted_content, response
    assert message.type == "message", response
    ids = [call.call_id for call in calls]
    calls = [(call.name, json.loads(call.arguments)) for call in calls]
    return thought.summary[0].text, response.output_text, calls, ids


def messages(client, stream):
    asked = {
        "model": "claude-opus-5-5",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": "go"}],
        "tools": [{"name": "terminal", "input_schema": SCHEMA}],
    }
    if stream:
        with client.messages.stream(**asked) as events:
            for _ in events:
                pass
            message = events.get_final_message()
    else:
        message = client.messages.create(**asked)
    assert message.stop_reason == "tool_use", message
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0, message
    hidden, thought, text, *calls = message.content
    assert hidden.type == "redacted_thinking" and hidden.data and thought.signature, message
    ids = [call.id for call in calls]
    return thought.thinking, text.text, [(call.name, call.input) for call in calls], ids


def refused(client, ask):
    """A request without a model's name breaks a rule: the error is the provider's own."""
    try:
        ask(client)
    except (openai.BadRequestError, anthropic.BadRequestError) as error:
        assert ".model" in str(error), error
        kind = error.body["error"]["type"] if "error" in error.body else error.body["type"]
        assert kind == "invalid_request_error", error.body
    else:
        raise AssertionError("it is accepted")


def main(binary):
    server = subprocess.Popen(
        [binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    base_url = server.stdout.readline().strip()
    options = {"api_key": "k", "max_retries": 0, "timeout": 20, "_strict_response_validation": True}
    by_openai = openai.OpenAI(base_url=base_url, **options)
    by_anthropic = anthropic.Anthropic(base_url=base_url.removesuffix("/v1"), **options)
    for client, ask in [(by_openai, chat), (by_openai, responses), (by_anthropic, messages)]:
        seen = set()
        for stream in [False, True]:
            thought, text, calls, ids = ask(client, stream)
            assert (thought, text, calls) == (THOUGHT, TEXT, CALLS), (ask, stream, thought, text, calls)
            seen.update(ids)
            print(f"{ask.__name__}{' streamed' if stream else ''}: as the package expects")
        assert len(seen) == 4, seen
    go = [{"role": "user", "content": "go"}]
    refused(by_openai, lambda c: c.chat.completions.create(model="", messages=go))
    refused(by_openai, lambda c: c.responses.create(model="", input=go, store=False))
    refused(by_anthropic, lambda c: c.messages.create(model="", messages=go, max_tokens=9))
    _, violations = server.communicate()
    lines = violations.splitlines()
    assert len(lines) == 3 and all(".model" in line for line in lines), violations
    print("refusals: as the packages expect")


main(sys.argv[1])
