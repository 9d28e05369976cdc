#!/usr/bin/env python3
"""Makes the data about models, of the providers that this crate knows by name.

models.tsv: what chat models take and can do. The facts come from the model list of the Python package litellm
(MIT outside its folder `enterprise/`), which this script downloads with pip into a temporary folder. No text of
it is taken, only facts. The columns are explained in the file's own first lines.

prices.jsonl: the price lists of the crate genai-prices (MIT), as Cargo.lock has it, one provider a line, without
what is not used here (descriptions, batch prices). The crate can read all lists at once, which takes 19 MB of memory;
with one a line only those are read that are needed.

    python3 crates/llm-client/data/make.py [VERSION]     # the newest litellm, unless a version is given
"""

import datetime
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

LIST = "litellm/model_prices_and_context_window_backup.json"
TARGET = pathlib.Path(__file__).with_name("models.tsv")
PRICES = TARGET.with_name("prices.jsonl")
PRICE_LISTS = {"anthropic", "aws", "azure", "cerebras", "deepseek", "fireworks", "github-copilot", "google", "groq",
               "minimax", "mistral", "moonshotai", "openai", "openrouter", "together", "x-ai", "zai"}

# What litellm calls a provider, and the prefix that names of its models have here. Makers come first: their
# rows are what is known of a model that some other service offers.
PROVIDERS = {
    "anthropic": "anthropic",
    "openai": "openai",
    "gemini": "gemini",
    "deepseek": "deepseek",
    "moonshot": "moonshot",
    "zai": "zai",
    "minimax": "minimax",
    "dashscope": "dashscope",
    "xai": "xai",
    "mistral": "mistral",
    "groq": "groq",
    "cerebras": "cerebras",
    "vertex_ai": "vertex_ai",
    "vertex_ai-language-models": "vertex_ai",
    "vertex_ai-openai_models": "vertex_ai",
    "vertex_ai-llama_models": "vertex_ai",
    "vertex_ai-mistral_models": "vertex_ai",
    "vertex_ai-deepseek_models": "vertex_ai",
    "vertex_ai-qwen_models": "vertex_ai",
    "vertex_ai-zai_models": "vertex_ai",
    "vertex_ai-moonshot_models": "vertex_ai",
    "vertex_ai-minimax_models": "vertex_ai",
    "azure": "azure",
    "github_copilot": "github_copilot",
    "bedrock_mantle": "bedrock",
    "bedrock_converse": "bedrock",
    "bedrock": "bedrock",
    "together_ai": "together_ai",
    "fireworks_ai": "fireworks_ai",
    "ollama": "ollama",
}
RANK = {prefix: at for at, prefix in enumerate(dict.fromkeys(PROVIDERS.values()))}
# Folders that names have for the sake of litellm or of a region; the models are the same.
REGIONS = re.compile(r"^(?:(?:us|eu|global|global-standard|global-batch|au|jp|in|ca|apac|us-gov|standard|hd)[/.]|"
                     r"(?:[a-z]{2}(?:-gov)?-[a-z]+-\d)/|(?:\d+-month|\d+)-commitment/)+")
RELEASE = re.compile(r"(?:[-@](?:\d{8}|\d{4}-\d{2}-\d{2}|latest|default))$")
THINKING = {"budget", "adaptive", "always"}
# They reason, but take no level of effort: OpenAI's page about reasoning.
NO_EFFORT = ("o1-mini", "o1-preview")
LEVELS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]

HEADER = """\
# What chat models take and can do. Made by make.py in this folder: do not edit.
# Source: litellm {version}, {list}
# License of the source: MIT
# Date: {date}
#
# Sorted by the first column. Columns, separated by tabs:
# 1 the model's name as it is looked up: in lower case, without folders, vendor and release, `.` as `-` in names of Claude
# 2 which services offer it, separated by commas: `prefix/name`, or `prefix/folder/` before the name of column 1
# 3 longest prompt, in tokens
# 4 longest reply, in tokens
# 5 shortest prefix that is cached, in tokens
# 6 levels of reasoning effort, separated by commas
# 7 what else is known, separated by spaces: vision, no-vision, tools, no-tools, reasoning, responses (is to be asked in the
#   format Responses), budget, adaptive, always (how a Claude model thinks), no-sampling, no-forced-tool, no-prefill
"""

PRICE_HEADER = """\
# What tokens cost. Made by make.py in this folder: do not edit.
# Source: the crate genai-prices {version}, data/prices.json
# License of the source: MIT
# Date: {date}
"""


def downloaded(version, folder):
    """The model list of a release, and the release's number."""
    wanted = f"litellm=={version}" if version else "litellm"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
               "--dest", folder, wanted]
    subprocess.run(command, check=True)
    wheel = next(pathlib.Path(folder).glob("litellm-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        return json.loads(archive.read(LIST)), wheel.name.split("-")[1]


def looked_up(name):
    """A model's name as it is looked up; `models.rs` does the same with the names of settings."""
    name = name.lower().rsplit("/", 1)[-1]
    name = name.split(":", 1)[0] if not re.search(r":\d+(?:\.\d+)?[bm]", name) else name
    name = REGIONS.sub("", name)
    vendor = re.match(r"[a-z][a-z0-9]*\.(?=[a-z])", name)
    if vendor:
        name = re.sub(r"-v\d+$", "", name[vendor.end():])
    if name.startswith("claude"):
        name = name.replace(".", "-")
    return name


def without_release(name):
    return RELEASE.sub("", name)


def levels(facts, name, prefix):
    """The levels of effort that the list states, or that follow from what it states."""
    if isinstance(facts.get("reasoning_effort_levels"), list):
        return [level for level in LEVELS if level in facts["reasoning_effort_levels"]]
    if name.startswith(NO_EFFORT):
        return []
    stated = {level for level in LEVELS if facts.get(f"supports_{level}_reasoning_effort")}
    claude = facts.get("supports_output_config") or facts.get("supports_adaptive_thinking")
    usual = stated or prefix in ("openai", "azure", "gemini") or name.startswith(("gpt-oss", "gemini"))
    if not claude and not facts.get("supports_reasoning"):
        return []
    if claude or usual:
        stated |= {"low", "medium", "high"}
    return [level for level in LEVELS if level in stated]


def flags(facts, name, prefix):
    words = []

    def known(key, word):
        if isinstance(facts.get(key), bool):
            words.append(word if facts[key] else f"no-{word}")

    known("supports_vision", "vision")
    known("supports_function_calling", "tools")
    if facts.get("supports_reasoning"):
        words.append("reasoning")
    endpoints = facts.get("supported_endpoints") or []
    offers = any(endpoint.endswith("/responses") for endpoint in endpoints)
    chat = any(endpoint.endswith("/chat/completions") for endpoint in endpoints)
    own = prefix in ("openai", "azure") and facts.get("supports_reasoning") and offers
    if facts["mode"] == "responses" or own or (offers and not chat):
        words.append("responses")
    if "claude" in name and facts.get("supports_reasoning"):
        always, adaptive = facts.get("thinking_always_on"), facts.get("supports_adaptive_thinking")
        words.append("always" if always else "adaptive" if adaptive else "budget")
    for key, word in [("supports_sampling_params", "no-sampling"), ("supports_forced_tool_use", "no-forced-tool"),
                      ("supports_assistant_prefill", "no-prefill")]:
        if facts.get(key) is False:
            words.append(word)
    return words


def completed(row, maker):
    """What a service leaves unsaid of a model's nature, its maker may say."""
    words = row[-1].split()
    for word in maker[-1].split():
        other = word.removeprefix("no-") if word.startswith("no-") else f"no-{word}"
        thinks = word in THINKING and THINKING & set(words)
        if word not in words and other not in words and not thinks and word != "responses":
            words.append(word)
    return (*row[:-1], " ".join(words))


def number(value):
    return str(int(value)) if isinstance(value, (int, float)) and value > 0 else ""


def rows(models, today):
    """One row for each model and set of facts: the services that offer it with these."""
    found = {}
    for name, facts in models.items():
        prefix = PROVIDERS.get(facts.get("litellm_provider"))
        gone = str(facts.get("deprecation_date") or "9999") <= today
        if prefix is None or facts.get("mode") not in ("chat", "responses") or gone or name.startswith("ft:"):
            continue
        own = name.split("/", 1)[1] if name.split("/", 1)[0] in (prefix, facts["litellm_provider"]) else name
        if REGIONS.match(own) and prefix in ("azure", "bedrock"):
            own = REGIONS.sub("", own)
        key = looked_up(own)
        row = (number(facts.get("max_input_tokens")), number(facts.get("max_output_tokens")),
               number(facts.get("prompt_cache_min_tokens")), ",".join(levels(facts, key, prefix)),
               " ".join(flags(facts, key, prefix)))
        if not any(row) or "(" in own or " " in own:
            continue
        found.setdefault((prefix, key), {}).setdefault(own, row)
    # A release that says nothing else than its model does not need a row.
    for (prefix, key) in list(found):
        base = without_release(key)
        plain = found.get((prefix, base), {})
        if base != key and set(found[prefix, key].values()) <= set(plain.values()):
            del found[prefix, key]
    merged, makers = {}, {}
    for (prefix, key), offers in sorted(found.items(), key=lambda item: RANK[item[0][0]]):
        # The shortest name is the one without folders.
        own, row = min(offers.items(), key=lambda item: (len(item[0]), item[0]))
        row = completed(row, makers.setdefault(key, row))
        address = f"{prefix}/{own}"
        if address.endswith("/" + key):
            address = address[: -len(key)]
        merged.setdefault((key, row), []).append(address)
    order = {}
    lines = []
    for (key, row), addresses in merged.items():
        at = order.setdefault(key, len(order))
        lines.append((key, at, "\t".join([key, ",".join(addresses), *row])))
    lines.sort(key=lambda line: line[0].encode())
    return [line for _, _, line in lines]


def price_lists():
    """One line for each provider, and the version of the crate."""
    command = ["cargo", "metadata", "--format-version", "1"]
    done = subprocess.run(command, check=True, capture_output=True, cwd=TARGET.parent)
    package = next(it for it in json.loads(done.stdout)["packages"] if it["name"] == "genai-prices")
    source = pathlib.Path(package["manifest_path"]).parent / "data" / "prices.json"
    lines = []
    for provider in json.loads(source.read_text()):
        if provider["id"] in PRICE_LISTS:
            models = [{key: model[key] for key in ("id", "match", "context_window", "prices") if key in model}
                      for model in provider["models"]]
            list_ = {key: provider[key] for key in ("id", "name", "api_pattern")} | {"models": models}
            lines.append(json.dumps(list_, separators=(",", ":")))
    return lines, package["version"]


def write(target, header, lines):
    target.write_text(header + "\n".join(lines) + "\n")
    print(f"{target}: {len(lines)} rows, {target.stat().st_size} bytes")


def main():
    version = sys.argv[1] if len(sys.argv) > 1 else None
    today = datetime.date.today().isoformat()
    with tempfile.TemporaryDirectory() as folder:
        models, version = downloaded(version, folder)
    lines = rows(models, today)
    write(TARGET, HEADER.format(version=version, list=LIST, date=today), lines)
    lists, version = price_lists()
    write(PRICES, PRICE_HEADER.format(version=version, date=today), lists)


if __name__ == "__main__":
    main()
