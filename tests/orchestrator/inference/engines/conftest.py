"""The four engines as subjects of one suite, each with two experts of one shape that answer differently.

vLLM and transformers run the real SmolLM2-135M with random adapters made here; the remote engine talks to a small
OpenAI-compatible server in this process; the scripted one runs the same script.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import json
import math
import random
import re
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.inference.engines.canary import Canary, greedy, prompt_ids
from orchestrator.inference.engines.engine import Engine, EngineOptions
from orchestrator.inference.expert import Expert, RemoteModel, Weights
from orchestrator.inference.request import Delta, PromptMessage, Request, Sampling, request_key
from tests.orchestrator.inference.engines.tiny import tiny

CONTEXT = 512
WORDS = ("river", "stone", "apple", "window", "green", "seven", "walk", "bright", "cold", "paper", "music", "north")


def babble(messages: Sequence[PromptMessage], seed: int) -> str:
    """Forty words that the messages and the seed decide."""
    chooser = random.Random(f"{messages} {seed}")
    return " ".join(chooser.choice(WORDS) for _ in range(40))


def babble_otherwise(messages: Sequence[PromptMessage], seed: int) -> str:
    return babble(messages, seed + 1)


@dataclass
class Subject:
    """An engine under test, and how to speak to it."""

    name: str
    engine: Engine
    first: Expert
    second: Expert
    more: dict[str, Expert] = field(default_factory=dict)

    def request(
        self, text: str, expert: Expert | None = None, draw: int = 0, stream: bool = True, **sampling: Any
    ) -> Request:
        expert = expert or self.first
        wanted = Sampling(**{"max_tokens": 12, **sampling})
        messages = (("user", text),)
        key = request_key(expert.fingerprint, messages, wanted, draw)
        return Request(key, expert.name, messages, wanted, draw, stream=stream)

    def run(self, *requests: Request, expert: Expert | None = None) -> dict[str, list[Delta]]:
        """Add them all and step until they are done: key -> deltas."""
        for request in requests:
            self.engine.add(request, expert or self.first)
        return self.drain({request.key for request in requests})

    def drain(self, keys: set[str]) -> dict[str, list[Delta]]:
        deltas: dict[str, list[Delta]] = {key: [] for key in keys}
        left = set(keys)
        for _ in range(20_000):
            for delta in self.engine.step():
                deltas.setdefault(delta.key, []).append(delta)
                if delta.last:
                    left.discard(delta.key)
            if not left:
                return deltas
        raise AssertionError(f"{len(left)} requests never ended")

    def ask(self, text: str, expert: Expert | None = None, **sampling: Any) -> str:
        """The whole reply to one question."""
        request = self.request(text, expert, **sampling)
        return joined(self.run(request, expert=expert)[request.key])


def joined(deltas: list[Delta]) -> str:
    assert deltas[-1].error is None, deltas[-1].error
    return "".join(delta.text for delta in deltas)


@pytest.fixture(scope="session")
def model_folder() -> Path:
    from orchestrator.experts.demo import FULL, locate

    return locate(FULL)


@pytest.fixture(scope="session")
def tiny_model(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Path]:
    """tiny_model(architecture, seed): the folder of that model, made at the first call. Not to be changed."""
    place = tmp_path_factory.mktemp("tiny")

    @functools.cache
    def made(architecture: str, seed: int) -> Path:
        return tiny(place / f"{architecture}-{seed}", model_folder, architecture, seed)

    return made


@pytest.fixture(scope="session")
def adapters(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random adapters over the model: two good ones, and one that fits a wider model."""
    folder = tmp_path_factory.mktemp("adapters")
    return {
        "one": make_adapter(folder / "one", model_folder, seed=1),
        "two": make_adapter(folder / "two", model_folder, seed=2),
        "wide": make_adapter(folder / "wide", model_folder, seed=3, widen=8),
    }


def make_adapter(folder: Path, model: Path, seed: int, widen: int = 0) -> Path:
    import torch
    from safetensors.torch import save_file

    from merging.checkpoint import Checkpoint

    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, info in Checkpoint(model).tensors.items():
        if name.endswith("_proj.weight"):
            module = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{module}.lora_A.weight"] = torch.randn(4, info.shape[1] + widen, generator=generator) * 0.08
            tensors[f"{module}.lora_B.weight"] = torch.randn(info.shape[0], 4, generator=generator) * 0.08
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none", "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def smollm(name: str, folder: Path, adapter: Path | None = None) -> Expert:
    return Expert(name, f"print-{name}", "smollm2", weights=Weights(folder, adapter), context=CONTEXT)


def scripted_subject() -> Subject:
    from orchestrator.inference.engines.scripted import ScriptedEngine

    first = Expert("first", "print-1", "script", context=CONTEXT)
    second = Expert("second", "print-2", "script", script=f"{__name__}:babble_otherwise", context=CONTEXT)
    return Subject("scripted", ScriptedEngine(script=babble), first, second)


def remote_subject() -> Subject:
    from orchestrator.inference.engines.openai_stream import RemoteOptions
    from orchestrator.inference.engines.remote import RemoteEngine

    options = RemoteOptions(transport=httpx.MockTransport(serve), first_wait=0.001)
    first = Expert("first", "print-1", "remote", remote=RemoteModel("http://server/v1", "one"), context=CONTEXT)
    second = Expert("second", "print-2", "remote", remote=RemoteModel("http://server/v1", "two"), context=CONTEXT)
    return Subject("remote", RemoteEngine(options), first, second)


def real_subject(name: str, model_folder: Path, adapters: dict[str, Path]) -> Subject:
    options = EngineOptions(batch=8, kv_gib=0.25, context=CONTEXT)
    engine: Engine
    if name == "vllm":
        from orchestrator.inference.engines.vllm import VLLMEngine

        engine = VLLMEngine(options)
    elif name == "card":
        from tests.orchestrator.inference.engines.cuda_engine import EngineOnCard

        engine = EngineOnCard(options)
    else:
        from orchestrator.inference.engines.transformers import TransformersEngine

        engine = TransformersEngine(options)
    first = smollm("base", model_folder)
    second = smollm("one", model_folder, adapters["one"])
    more = {"two": smollm("two", model_folder, adapters["two"]), "wide": smollm("wide", model_folder, adapters["wide"])}
    subject = Subject(name, engine, first, second, more)
    with warnings.catch_warnings():  # what the libraries say while they are imported is not ours
        warnings.simplefilter("ignore")
        engine.load(first)
    return subject


@pytest.fixture(scope="session")
def subjects(request: pytest.FixtureRequest) -> Iterator[dict[str, Subject]]:
    """Made on first use, one a session; closed at its end."""
    made: dict[str, Subject] = {}
    yield made
    for subject in made.values():
        subject.engine.close()


@pytest.fixture(scope="module")
def card(model_folder: Path, adapters: dict[str, Path], vllm_installed: None) -> Iterator[Subject]:
    """vLLM held to the rules of a card, for one file's tests: its models are in other processes, which end here."""
    made = real_subject("card", model_folder, adapters)
    yield made
    with warnings.catch_warnings():  # vLLM leaves its sockets to the garbage collector
        warnings.simplefilter("ignore")
        made.engine.close()


@pytest.fixture(params=["scripted", "remote", "transformers", "vllm"])
def subject(request: pytest.FixtureRequest, subjects: dict[str, Subject]) -> Subject:
    return _subject(request.param, request, subjects)


@pytest.fixture(params=["scripted", "remote", "transformers", "vllm", "card"])
def anywhere(request: pytest.FixtureRequest, subjects: dict[str, Subject]) -> Subject:
    """Also on a card, for what crosses to the model's process there: the rest is the same code as on a processor."""
    return _subject(request.param, request, subjects)


@pytest.fixture(params=["transformers", "vllm"])
def real(request: pytest.FixtureRequest, subjects: dict[str, Subject]) -> Subject:
    """Only the engines that hold weights."""
    return _subject(request.param, request, subjects)


@pytest.fixture
def vllm(request: pytest.FixtureRequest, subjects: dict[str, Subject]) -> Subject:
    return _subject("vllm", request, subjects)


def _subject(name: str, request: pytest.FixtureRequest, subjects: dict[str, Subject]) -> Subject:
    if name == "card":
        subjects = {name: request.getfixturevalue("card")}
    if name == "vllm":
        request.getfixturevalue("vllm_installed")
    if name not in subjects:
        if name in ("vllm", "transformers"):
            folder, adapters = request.getfixturevalue("model_folder"), request.getfixturevalue("adapters")
            subjects[name] = real_subject(name, folder, adapters)
        else:
            subjects[name] = scripted_subject() if name == "scripted" else remote_subject()
    subject = subjects[name]
    subject.engine.load(subject.first)
    return subject


async def serve(request: httpx.Request) -> httpx.Response:
    """POST /v1/chat/completions, streamed, for models `one` and `two`, and some that fail."""
    body = json.loads(request.content)
    messages = tuple((message["role"], message["content"]) for message in body["messages"])
    prompt_tokens = sum(len(content.split()) for _, content in messages)
    if prompt_tokens >= CONTEXT:
        error = {"message": f"maximum context length is {CONTEXT}", "code": "context_length_exceeded"}
        return httpx.Response(400, json={"error": error})
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    script = babble if body["model"] == "one" else babble_otherwise
    text = _keep_to(schema) if schema else script(messages, body.get("seed", 0))
    finish = "stop"
    for stop in body.get("stop", ()):
        text = text.split(stop)[0]
    tokens = re.findall(r"\s*\S+|\s+$", text)
    if len(tokens) > body["max_tokens"]:
        tokens, finish = tokens[: body["max_tokens"]], "length"
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": len(tokens)}
    return httpx.Response(200, content=_events(tokens, finish, usage, body.get("top_logprobs")))


async def _events(tokens: list[str], finish: str, usage: dict[str, int], count: int | None) -> AsyncIterator[bytes]:
    for token in tokens:
        choice: dict[str, Any] = {"index": 0, "delta": {"content": token}, "finish_reason": None}
        if count is not None:
            top = [{"token": f"{token}{i or ''}", "logprob": math.log(0.5) - i} for i in range(count)]
            choice["logprobs"] = {"content": [{"token": token, "logprob": math.log(0.5), "top_logprobs": top}]}
        yield f"data: {json.dumps({'choices': [choice]})}\n\n".encode()
        await asyncio.sleep(0.001)
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    for event in (json.dumps(last), json.dumps({"choices": [], "usage": usage}), "[DONE]"):
        yield f"data: {event}\n\n".encode()


def _keep_to(schema: dict[str, Any]) -> str:
    from orchestrator.inference.engines.schema import smallest_instance

    return json.dumps(smallest_instance(schema))


@pytest.fixture(scope="session")
def vllm_installed() -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")


def canary_by_transformers(expert: Expert, tokens: int, dtype: str = "bfloat16") -> Canary:
    """The canary as transformers computes it from the same sources."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    import merging.gated_model  # noqa: F401 - so that the auto classes know our own mixtures
    from orchestrator.inference.engines.sources import Sources

    kind = getattr(torch, dtype)
    if expert.weights and not expert.weights.adapter:
        # Some models hold their tensors otherwise than their files do; loading them as they are sees to that.
        model = AutoModelForCausalLM.from_pretrained(
            expert.folder, dtype=kind, local_files_only=True, trust_remote_code=False
        )
    else:
        blend = Sources().blend(expert)
        model = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(expert.folder, trust_remote_code=False), dtype=kind, trust_remote_code=False
        )
        model.load_state_dict(dict(blend), strict=not blend.checkpoint.tied)
        model.tie_weights()
    model.eval()
    return greedy(model, prompt_ids(AutoTokenizer.from_pretrained(expert.folder, trust_remote_code=False)), tokens)


@pytest.fixture(scope="session")
def reference() -> Callable[..., Canary]:
    """reference(expert, tokens[, dtype]): its canary, computed apart from our engines."""
    return canary_by_transformers
