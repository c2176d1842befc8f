"""What clients of many makes send, as `schema.ChatBody` has it: honest about what is left out.

- null means absent, and so do values that change nothing (`max_tokens: -1`, `top_k: -1`, `logit_bias: {}`).
- Other servers' spellings become OpenAI's (`functions`, `guided_json`, `enable_thinking`, `max_new_tokens`).
- Fields that have no meaning for a server are left out and named: the response's header `X-Collegium-Ignored` lists
  them, and a strict service refuses them.
- Everything else stays, for the schema to accept or to refuse by name.

All functions raise `ValueError` with one sentence that begins with the field's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.chats import message_forms, tool_forms

IGNORED = frozenset(
    {
        # OpenAI: bookkeeping and hints.
        "metadata", "moderation", "prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
        "safety_identifier", "service_tier", "store", "user", "verbosity", "web_search_options",
        # OpenRouter, LiteLLM, gateways.
        "api_base", "api_key", "cache_control", "custom_llm_provider", "drop_params", "fallbacks", "include_reasoning",
        "max_retries", "models", "num_retries", "provider", "route", "session_id", "timeout", "trace", "transforms",
        "trace_id", "usage", "user_id",
        # Ollama, llama.cpp, LM Studio.
        "cache_prompt", "id_slot", "keep_alive", "num_ctx", "options", "post_sampling_probs", "return_progress",
        "slot_id", "timings_per_token", "ttl",
        # vLLM, SGLang, DashScope.
        "cache_salt", "incremental_output", "kv_transfer_params", "priority", "request_id", "result_format", "rid",
        "separate_reasoning", "stream_reasoning", "thinking_budget", "vllm_xargs",
        # Chat pages and agents.
        "background_tasks", "chat_id", "conversation_id", "features", "id", "message_id", "model_item", "params",
        "tool_ids", "tool_servers", "variables",
    }
)  # fmt: skip
"""Fields of a request that mean nothing to a server, or are hints."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "add_special_tokens": (False,),
    "best_of": (1,),
    "documents": ([],),
    "dry_multiplier": (0,),
    "early_stopping": (False,),
    "echo": (False,),
    "enable_search": (False,),
    "extra_body": ({},),
    "extra_headers": ({},),
    "extra_query": ({},),
    "files": ([],),
    "include_stop_str_in_output": (False,),
    "length_penalty": (1,),
    "logit_bias": ({},),
    "logits_processors": ([],),
    "max_completion_tokens": (-1, 0),
    "max_tokens": (-1, 0),
    "mirostat": (0,),
    "modalities": (["text"], []),
    "n_probs": (0,),
    "num_beams": (1,),
    "plugins": ([],),
    "prompt_logprobs": (False,),
    "raw": (False,),
    "reasoning_effort": ("",),
    "repetition_detection": ({}, {"max_pattern_size": 0, "min_pattern_size": 0, "min_count": 0}),
    "response_format": ({},),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "safe_prompt": (False,),
    "samplers": ([],),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True, False),
    "suffix": ("",),
    "tfs_z": (1,),
    "thinking": ({},),
    "tools": ([],),
    "top_a": (0,),
    "top_k": (-1,),
    "truncate_prompt_tokens": (-1,),
    "typical_p": (1,),
    "use_beam_search": (False,),
    "xtc_probability": (0,),
}
"""Values that change nothing, of fields that are otherwise refused or bounded."""

NUMBERS = frozenset(
    {
        "frequency_penalty", "max_completion_tokens", "max_tokens", "min_p", "min_tokens", "n", "presence_penalty",
        "repetition_penalty", "seed", "temperature", "top_k", "top_logprobs", "top_p",
    }
)  # fmt: skip
"""Fields in which `true` is a mistake, and no 1."""

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max", "default")
"""How long to think: OpenAI's words, Anthropic's `max`, and Groq's `default`, which says nothing."""

RENAMED = {"max_new_tokens": "max_tokens", "n_predict": "max_tokens", "num_predict": "max_tokens"}
RENAMED |= {"stop_sequences": "stop", "repeat_penalty": "repetition_penalty", "random_seed": "seed"}


def tolerate(body: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(the request as the schema has it, sorted names of the fields that were ignored). Raises ValueError, naming
    the field, for what cannot be done."""
    ignored: set[str] = set()
    kept = {name: value for name, value in body.items() if value is not None}
    for name, new in RENAMED.items():
        if name in kept:
            tool_forms.put(kept, new, kept.pop(name), name)
    for name in list(kept):
        if name in IGNORED:
            if kept.pop(name) not in ("", {}, []):
                ignored.add(name)
        elif name == "max_tokens" and kept.get("echo") is True:
            continue  # 0: nothing but the prompt
        elif any(_same(kept[name], neutral) for neutral in NEUTRAL.get(name, ())):
            del kept[name]
    if "extra_body" in kept:
        raise ValueError("extra_body: send its fields beside the others, at the top level")
    for name in NUMBERS & kept.keys():
        if isinstance(kept[name], bool):
            raise ValueError(f"{name}: a number is needed, not {str(kept[name]).lower()}")
    if "max_tokens" in kept and kept["max_tokens"] != kept.get("max_completion_tokens", kept["max_tokens"]):
        raise ValueError("max_tokens: max_completion_tokens says otherwise; send one of the two")
    if "do_sample" in kept and not _switch(kept, "do_sample"):
        kept["temperature"] = 0
    if _same(kept.get("top_p"), 0):
        kept["temperature"] = 0
        del kept["top_p"]
    if not kept.get("stream"):
        kept.pop("stream_options", None)
    if not kept.get("logprobs") and kept.get("top_logprobs") == 0:
        del kept["top_logprobs"]
    _thoughts(kept, ignored)
    _structure(kept, ignored)
    tool_forms.tools(kept, ignored)
    if isinstance(kept.get("messages"), list):
        message_forms.messages(kept, ignored)
    return kept, sorted(ignored)


def _same(value: Any, neutral: Any) -> bool:
    """Equal; 0 and 0.0 are, 0 and False are not."""
    return isinstance(value, bool) == isinstance(neutral, bool) and bool(value == neutral)


def _switch(kept: dict[str, Any], name: str) -> bool:
    """Take the field out: true or false, also as a text or as 1 or 0."""
    value = kept.pop(name)
    known = {"true": True, "1": True, "false": False, "0": False}
    written = str(value).lower()
    if not isinstance(value, (bool, int, str)) or written not in known:
        raise ValueError(f"{name}: true or false is needed")
    return known[written]


def _thoughts(kept: dict[str, Any], ignored: set[str]) -> None:
    """Spellings of "think or do not" as the chat template's variables."""
    wanted: dict[str, Any] = {}
    if kept.get("think") in ("low", "medium", "high"):  # Ollama's
        tool_forms.put(kept, "reasoning_effort", kept.pop("think"), "think")
    for name in ("enable_thinking", "think"):
        if name in kept:
            wanted["enable_thinking"] = _switch(kept, name)
    thinking = kept.pop("thinking", None)
    if isinstance(thinking, dict) and thinking.get("type") in ("enabled", "disabled", "adaptive"):
        wanted["enable_thinking"] = thinking["type"] != "disabled"
        ignored |= {f"thinking.{name}" for name in thinking.keys() - {"type"} if thinking[name] is not None}
    elif thinking is not None:
        raise ValueError('thinking: {"type": "enabled"} or {"type": "disabled"} is understood')
    effort = kept.pop("reasoning_effort", None)
    reasoning = kept.pop("reasoning", None)
    if isinstance(reasoning, dict):
        effort = effort or reasoning.get("effort")
        if reasoning.get("enabled") is not None and not _switch(
            {"reasoning.enabled": reasoning["enabled"]}, "reasoning.enabled"
        ):
            effort = "none"
        known = {"effort", "enabled"}
        ignored |= {f"reasoning.{name}" for name in reasoning.keys() - known if reasoning[name] is not None}
    elif reasoning is not None:
        raise ValueError('reasoning: an object such as {"effort": "low"} is understood')
    if effort is not None:
        if effort not in EFFORTS:
            raise ValueError(f"reasoning_effort: must be one of {', '.join(EFFORTS)}")
        if effort not in ("none", "default"):
            wanted["reasoning_effort"] = effort
        elif effort == "none":
            wanted["enable_thinking"] = False
    if wanted:
        given = kept.setdefault("chat_template_kwargs", {})
        if isinstance(given, dict):
            kept["chat_template_kwargs"] = wanted | given


def _structure(kept: dict[str, Any], ignored: set[str]) -> None:
    """Other servers' demands on the reply's form as `response_format`."""
    found: dict[str, Any] = {}
    spelled: list[str] = []
    for kind in ("json", "regex", "choice", "grammar"):
        if (name := f"guided_{kind}") in kept:
            found[kind] = kept.pop(name)
            spelled.append(name)
    outputs = kept.pop("structured_outputs", None)
    if isinstance(outputs, dict):
        found |= {name: value for name, value in outputs.items() if value is not None}
        spelled.append("structured_outputs")
    elif outputs is not None:
        raise ValueError("structured_outputs: an object with json, regex, choice or grammar is understood")
    written = kept.pop("format", None)
    if written not in (None, ""):
        found["json"] = {"type": "object"} if written == "json" else written
        spelled.append("format")
    if kept.pop("guided_decoding_backend", None) is not None:
        ignored.add("guided_decoding_backend")
    if found:
        if len(found) > 1 or len(spelled) > 1 or "response_format" in kept:
            others = "".join(f", not by {name} too" for name in spelled if name != spelled[0])
            other = others or (", not by response_format too" if "response_format" in kept else "")
            raise ValueError(f"{spelled[0]}: the reply's form can be demanded in one way only{other}")
        ((kind, value),) = found.items()
        kept["response_format"] = {"type": kind, "value": value}
    given = kept.get("response_format")
    if isinstance(given, dict):
        kept["response_format"] = _response_format({k: v for k, v in given.items() if v is not None}, ignored)


def _response_format(given: dict[str, Any], ignored: set[str]) -> dict[str, Any]:
    kind = given.get("type")
    if kind == "json":
        schema = given.get("value", given.get("schema"))
        if isinstance(schema, str):
            try:
                schema = json.loads(schema)
            except ValueError:
                raise ValueError("response_format: its schema is not valid JSON") from None
        return {"type": "json_schema", "json_schema": {"schema": schema}}
    if kind == "grammar" and "grammar" in given and "value" not in given:  # Fireworks'
        return {"type": kind, "value": given["grammar"]}
    if kind in ("json_object", "json_schema") and isinstance(given.get("schema"), dict) and "json_schema" not in given:
        return {"type": "json_schema", "json_schema": {"schema": given["schema"]}}
    if kind == "json_schema" and isinstance(given.get("json_schema"), dict):
        inner = {name: value for name, value in given["json_schema"].items() if value is not None}
        known = {"name", "description", "schema", "strict"}
        ignored |= {f"response_format.json_schema.{name}" for name in inner.keys() - known}
        return {"type": kind, "json_schema": {name: inner[name] for name in inner.keys() & known}}
    return given
