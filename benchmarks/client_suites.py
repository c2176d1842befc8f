"""Clients that are run as commands, as `client_programs` has those that are libraries: pages, agents, test suites.

Each writes what it needs into the folder it is run in.
"""

from __future__ import annotations

_HEAD = """
import importlib.metadata, json, os, re, subprocess, sys, time, urllib.request
from pathlib import Path
URL = sys.argv[1]
V1 = URL + "/v1"
HOME = Path.cwd()
BIN = Path(sys.executable).parent

def version(package):
    importlib.metadata.version(package)  # raises PackageNotFoundError, which is a ModuleNotFoundError
    return importlib.metadata.version(package)

def run(*command, seconds=400, **environment):
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, timeout=seconds, cwd=HOME,
                          stdin=subprocess.DEVNULL,
                          env={**os.environ, "OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1", **environment})
    if done.returncode:
        raise SystemExit(f"{done.stdout[-3000:]}\\n{done.stderr[-1500:]}")
    return done.stdout
"""

LANGCHAIN_TESTS = """
found = version("langchain-tests")
(HOME / "test_standard.py").write_text('''
import os
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

class TestServed(ChatModelIntegrationTests):
    chat_model_class = ChatOpenAI
    has_tool_choice = True
    supports_json_mode = True
    supports_anthropic_inputs = False

    @property
    def chat_model_params(self):
        return {"model": "base", "base_url": os.environ["SERVED"], "api_key": "none", "max_retries": 0,
                "stream_usage": True}
''')
(HOME / "pytest.ini").write_text("[pytest]\\nasyncio_mode = auto\\nasyncio_default_test_loop_scope = session\\n"
                                 "asyncio_default_fixture_loop_scope = session\\n")
out = run(sys.executable, "-m", "pytest", "-q", "-p", "no:warnings", "test_standard.py", SERVED=V1)
print("ChatModelIntegrationTests:", out.strip().splitlines()[-1], "langchain-tests", found)
"""

AIDER = """
found = version("aider-chat")
(HOME / "greet.py").write_text("print('hello')\\n")
out = run(BIN / "aider", "--model", "openai/base", "--openai-api-base", V1, "--no-git", "--yes-always", "--no-stream",
    "--no-check-update", "--no-show-model-warnings", "--analytics-disable", "--edit-format", "whole", "--no-auto-lint",
    "--map-tokens", "0", "--timeout", "300", "--message", "Say hello.", "greet.py")
answered = lambda text: int(re.search(r"Tokens: .* ([0-9]+) received", text)[1]) > 0 and "litellm." not in text
assert answered(out), out[-2000:]
streamed = run(BIN / "aider", "--model", "openai/base", "--openai-api-base", V1, "--no-git", "--yes-always",
    "--no-check-update", "--no-show-model-warnings", "--analytics-disable", "--edit-format", "ask", "--map-tokens", "0",
    "--timeout", "300", "--message", "What is in it?", "greet.py")
assert answered(streamed), streamed[-2000:]
print("edit and ask, streamed or not; aider-chat", found)
"""

CONTINUE = """
folder = os.environ.get("CLIENT_NODE", "")
adapters = Path(folder) / "node_modules/@continuedev/openai-adapters"
if not folder or not adapters.exists():
    raise ModuleNotFoundError("CLIENT_NODE names no folder with @continuedev/openai-adapters")
script = HOME / "asked.mjs"
script.write_text('''
import { createRequire } from "node:module";
const require = createRequire(process.argv[3] + "/package.json");
const { constructLlmApi } = await import(require.resolve("@continuedev/openai-adapters"));
const api = constructLlmApi({ provider: "openai", apiKey: "none", apiBase: process.argv[2] });
const messages = [{ role: "system", content: "Be brief." },
                  { role: "user", content: [{ type: "text", text: "What is the capital of France?" }] }];
const signal = new AbortController().signal;
const whole = await api.chatCompletionNonStream({ model: "base", messages, max_tokens: 30, stream: false }, signal);
if (!whole.choices[0].message.content) throw new Error("no reply");
let text = "", usage = null;
for await (const chunk of api.chatCompletionStream({ model: "base", messages, max_tokens: 30, stream: true,
    stop: ["\\\\n\\\\n\\\\n"], tools: [{ type: "function", function: { name: "read_file", description: "Read a file.",
    parameters: { type: "object", required: ["filepath"], properties: { filepath: { type: "string" } } } } }] },
    signal)) {
  text += chunk.choices[0]?.delta?.content ?? JSON.stringify(chunk.choices[0]?.delta?.tool_calls ?? "");
  usage = chunk.usage ?? usage;
}
if (!text || !usage) throw new Error("no stream or no usage: " + text);
const written = await api.completionNonStream({ model: "base", prompt: "def add(a, b):", max_tokens: 20, stream: false,
    stop: ["\\\\n\\\\n"] }, signal);
if (!written.choices.length) throw new Error("no completion");
for await (const part of api.completionStream({ model: "base", prompt: "def add(a, b):", max_tokens: 20, stream: true },
    signal)) if (!part.choices.length && !part.usage) throw new Error("an event without choices");
const vectors = await api.embed({ model: "embedder", input: ["a", "b"] });
if (vectors.data.length !== 2) throw new Error("no vectors");
if (!(await api.list()).some((model) => model.id === "base")) throw new Error("no list");
console.log("done");
''')
assert "done" in run("node", script, V1, folder)
found = json.loads((adapters / "package.json").read_text())["version"]
print("chat, stream with a tool, completions, embeddings, models; @continuedev/openai-adapters", found)
"""

CODEX = """
folder = os.environ.get("CLIENT_NODE", "")
codex = Path(folder) / "node_modules/.bin/codex"
if not folder or not codex.exists():
    raise ModuleNotFoundError("CLIENT_NODE names no folder with @openai/codex")
(HOME / "codex").mkdir(exist_ok=True)
(HOME / "codex/config.toml").write_text(f'''
model = "base"
model_provider = "collegium"
[model_providers.collegium]
name = "Collegium"
base_url = "{V1}"
wire_api = "responses"
requires_openai_auth = false
''')
out = run(codex, "exec", "--skip-git-repo-check", "--json", "Say hello.", CODEX_HOME=str(HOME / "codex"))
kinds = {json.loads(line)["type"] for line in out.splitlines() if line.startswith("{")}
assert "turn.completed" in kinds and "turn.failed" not in kinds, out[-2000:]
found = json.loads((Path(folder) / "node_modules/@openai/codex/package.json").read_text())["version"]
print("exec; @openai/codex", found)
"""

LM_EVAL = """
found = version("lm_eval")
from lm_eval import simple_evaluate
rows = [{"question": f"Is {n} more than 10?", "gold": int(n > 10)} for n in (3, 30, 7, 70)]
(HOME / "rows.json").write_text(json.dumps(rows))
common = f"dataset_path: json\\ndataset_kwargs: {{data_files: {{test: {HOME / 'rows.json'}}}}}\\ntest_split: test\\n"
common += "doc_to_text: '{{question}} Answer:'\\n"
(HOME / "written.yaml").write_text("task: written\\noutput_type: generate_until\\n" + common +
    "doc_to_target: '{{[\\"no\\", \\"yes\\"][gold]}}'\\ngeneration_kwargs: {until: ['\\\\n'], max_gen_toks: 8}\\n"
    "metric_list: [{metric: exact_match}]\\n")
(HOME / "chosen.yaml").write_text("task: chosen\\noutput_type: multiple_choice\\n" + common +
    "doc_to_target: gold\\ndoc_to_choice: [' no', ' yes']\\nmetric_list: [{metric: acc}]\\n")
with urllib.request.urlopen(V1 + "/models/base") as answer:
    scripted = json.load(answer)["max_model_len"] is None
def evaluate(kind, path, task, tokenized):
    model = {"local-chat-completions": {"tokenized_requests": False}, "local-completions": tokenized}[kind]
    arguments = {"model": "base", "base_url": V1 + path, "num_concurrent": 2, "max_retries": 1, **model}
    from lm_eval.tasks import TaskManager
    return simple_evaluate(model=kind, model_args=arguments, tasks=[task], bootstrap_iters=0,
        task_manager=TaskManager(include_path=str(HOME), include_defaults=False),
        apply_chat_template=kind == "local-chat-completions")["results"][task]
os.environ["OPENAI_API_KEY"] = "none"
assert "exact_match,none" in evaluate("local-chat-completions", "/chat/completions", "written", {})
def tokenizer():
    # As users give it: the tokenizer of the served expert, from its folder.
    return os.environ.get("CLIENT_TOKENIZER")
told = []
if tokenizer():
    made = {"tokenizer": tokenizer(), "tokenizer_backend": "huggingface", "tokenized_requests": True}
    likely = evaluate("local-completions", "/completions", "chosen", made)
    assert 0 <= likely["acc,none"] <= 1
    assert "exact_match,none" in evaluate("local-completions", "/completions", "written", made)
    told = ["completions with loglikelihood"]
print(", ".join(["chat", *told]) + "; lm_eval", found)
if not told:
    raise SystemExit("CLIENT_TOKENIZER is not set: completions were not tried")
"""

OPEN_WEBUI = """
found = version("open-webui")
import socket
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
settings = {"DATA_DIR": str(HOME / "webui"), "OPENAI_API_BASE_URLS": V1, "OPENAI_API_KEYS": "none",
    "ENABLE_OLLAMA_API": "false", "OFFLINE_MODE": "true", "WEBUI_SECRET_KEY": "for this run only",
    "ENABLE_VERSION_UPDATE_CHECK": "false", "RAG_EMBEDDING_ENGINE": "openai", "RAG_OPENAI_API_BASE_URL": V1,
    "RAG_OPENAI_API_KEY": "none", "RAG_EMBEDDING_MODEL": "embedder", "BYPASS_MODEL_ACCESS_CONTROL": "true"}
(HOME / "webui").mkdir(exist_ok=True)
page = f"http://127.0.0.1:{port}"
def call(path, body=None, token=None, raw=False):
    asked = urllib.request.Request(page + path, None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})})
    with urllib.request.urlopen(asked, timeout=240) as answer:
        return answer.read().decode() if raw else json.load(answer)
with open(HOME / "webui.log", "w") as log, subprocess.Popen(
    [BIN / "open-webui", "serve", "--host", "127.0.0.1", "--port", str(port)], cwd=HOME, stdout=log, stderr=log,
    env={**os.environ, **settings}) as server:
    try:
        for _ in range(400):
            try:
                call("/health")
                break
            except OSError:
                assert server.poll() is None, (HOME / "webui.log").read_text()[-2000:]
                time.sleep(0.5)
        person = {"name": "A", "email": "a@example.org", "password": "long enough 1A!"}
        token = call("/api/v1/auths/signup", person)["token"]
        listed = {model["id"] for model in call("/api/models", token=token)["data"]}
        assert {"base", "mixture", "reconcile"} <= listed, listed
        ask = lambda model, **more: {"model": model, "messages": [{"role": "user", "content": "Is a tomato a fruit?"}],
                                     "params": {}, "features": {"web_search": False}, **more}
        assert call("/api/chat/completions", ask("base", max_tokens=20), token)["choices"][0]["message"]["content"]
        streamed = call("/api/chat/completions", ask("base", stream=True, max_tokens=20), token, raw=True)
        assert '"content"' in streamed and "[DONE]" in streamed, streamed[-500:]
        talked = call("/api/chat/completions", ask("reconcile", stream=True), token, raw=True)
        assert "error" not in talked and "reasoning_content" in talked and "[DONE]" in talked, talked[-900:]
    finally:
        server.terminate()
        server.wait(30)
print("models, chat, stream, reconcile with folded discussion; open-webui", found)
"""

SCHEMATHESIS = """
found = version("schemathesis")
out = run(BIN / "schemathesis", "run", URL + "/openapi.json", "--checks", "not_a_server_error,content_type_conformance",
    "--phases", "coverage,fuzzing", "--max-examples", "8", "--request-timeout", "60", "--max-time", "300",
    "--suppress-health-check", "all", seconds=540)
cases = [line.strip() for line in out.splitlines() if "generated" in line]
print(*cases[-1:], "no server error; schemathesis", found)
"""

SUITES: dict[str, str] = {
    name: _HEAD + program
    for name, program in {
        "langchain-tests": LANGCHAIN_TESTS,
        "aider": AIDER,
        "continue": CONTINUE,
        "codex": CODEX,
        "lm-eval": LM_EVAL,
        "open-webui": OPEN_WEBUI,
        "schemathesis": SCHEMATHESIS,
    }.items()
}
SCRIPTED = frozenset({"aider", "codex", "langchain-tests", "schemathesis"})
"""Suites that try the endpoint and not a model's abilities, whose prompts are longer than the demo zoo's context, or
which have a small model write until its context is full, again and again: they run against scripted experts."""
