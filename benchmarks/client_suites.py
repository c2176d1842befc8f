"""Clients that are run as commands, as `client_programs` has those that are libraries: pages, agents, test suites.

Each writes what it needs into the folder it is run in.
"""

from __future__ import annotations

_HEAD = """
import contextlib, importlib.metadata, json, os, re, subprocess, sys, time, urllib.request
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
import shutil, socket
from playwright.sync_api import sync_playwright
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
# The variables of docs/clients.md, and replies that end soon.
settings = {"OPENAI_API_BASE_URL": V1, "OPENAI_API_KEY": "none", "ENABLE_OLLAMA_API": "false",
    "RAG_EMBEDDING_ENGINE": "openai", "RAG_OPENAI_API_BASE_URL": V1, "RAG_OPENAI_API_KEY": "none",
    "RAG_EMBEDDING_MODEL": "embedder", "DEFAULT_MODEL_PARAMS": '{"function_calling": "legacy", "max_tokens": 40}',
    "DATA_DIR": str(HOME / "webui"), "WEBUI_SECRET_KEY": "for this run only", "OFFLINE_MODE": "true",
    "ENABLE_TITLE_GENERATION": "false", "ENABLE_TAGS_GENERATION": "false", "ENABLE_FOLLOW_UP_GENERATION": "false"}
(HOME / "webui").mkdir(exist_ok=True)
page_url = f"http://127.0.0.1:{port}"
def up():
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(page_url + "/health", timeout=5).status == 200
def profile():
    wanted = json.dumps({"pipeline": "profile", "request": {"task": "mixed", "questions": 24, "max_tokens": 40}})
    head = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(V1 + "/jobs", wanted.encode(), head), timeout=30).close()
    for _ in range(240):
        with urllib.request.urlopen(V1 + "/models/mixture", timeout=30) as answer:
            if json.load(answer)["ready"]:
                return
        time.sleep(1)
    raise SystemExit("mixture is not ready after the job profile")
def sign_up(page):
    page.goto(page_url, timeout=120_000)
    page.get_by_text("Get started").click()
    page.locator("input[type=text]").first.fill("Ada")
    page.locator("input[type=email]").fill("ada@example.org")
    for field in page.locator("input[type=password]").all():
        field.fill("long enough 1A!")
    page.locator("button[type=submit]").first.click()
    page.locator("#chat-input").wait_for(timeout=60_000)
def ask(page, model):
    page.goto(f"{page_url}/?models={model}")
    page.locator("#chat-input").wait_for()
    for _ in range(5):  # what is new in this version
        page.wait_for_timeout(1500)
        if page.locator("[role=dialog]").count():
            page.keyboard.press("Escape")
    page.locator("#chat-input").click()
    page.keyboard.type("Is a tomato a fruit?")
    page.keyboard.press("Enter")
    reply = page.locator(".chat-assistant").last
    reply.locator("xpath=ancestor::*[starts-with(@id,'message-')]").last.get_by_label("Copy").wait_for(timeout=240_000)
    text = reply.inner_text().strip()
    assert text and not page.get_by_text("is too long").count() and not page.locator(".text-red-500").count(), text
    return text
with open(HOME / "webui.log", "w") as log, subprocess.Popen(
    [BIN / "open-webui", "serve", "--host", "127.0.0.1", "--port", str(port)], cwd=HOME, stdout=log, stderr=log,
    env={**os.environ, **settings}) as server:
    try:
        profile()
        for _ in range(400):
            if up():
                break
            assert server.poll() is None, (HOME / "webui.log").read_text()[-2000:]
            time.sleep(0.5)
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page()
            sign_up(page)
            ask(page, "base")
            ask(page, "mixture")
            talked = ask(page, "reconcile")
            assert "Thought" in talked, talked
            browser.close()
    finally:
        server.terminate()
        server.wait(30)
print("its page in a browser: an account, base, mixture, reconcile with folded discussion; open-webui", found)
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
