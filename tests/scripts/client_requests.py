"""Requests as clients of many makes send them, and as nobody should: (name, path, fields, status, what is named).

`model` is `words`, a scripted expert, unless the fields say otherwise. A status of 200 stands for "is answered"; every
other one is a refusal in one sentence that names the field.
"""

from __future__ import annotations

from typing import Any

HELLO: Any = [{"role": "user", "content": "hello there"}]
WEATHER: Any = {
    "name": "get_weather",
    "description": "w",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TOOLS: Any = [{"type": "function", "function": WEATHER}]
SCHEMA: Any = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
CALL: Any = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Ulm"}'}}
Row = tuple[str, str, dict[str, Any], int, str]


def chat(name: str, status: int = 200, named: str = "", **fields: Any) -> Row:
    return name, "/v1/chat/completions", {"messages": HELLO, **fields}, status, named


def said(name: str, *messages: Any, status: int = 200, named: str = "", **fields: Any) -> Row:
    return name, "/v1/chat/completions", {"messages": list(messages), **fields}, status, named


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def completion(name: str, status: int = 200, named: str = "", **fields: Any) -> Row:
    return name, "/v1/completions", {"prompt": "hello there", "max_tokens": 4, **fields}, status, named


def response(name: str, status: int = 200, named: str = "", **fields: Any) -> Row:
    return name, "/v1/responses", {"input": "hello there", **fields}, status, named


def message(name: str, status: int = 200, named: str = "", **fields: Any) -> Row:
    return name, "/v1/messages", {"messages": HELLO, "max_tokens": 16, **fields}, status, named


def vectors(name: str, status: int = 200, named: str = "", **fields: Any) -> Row:
    return name, "/v1/embeddings", {"model": "embedder", "input": "hello there", **fields}, status, named


CHATS: list[Row] = [
    chat("open-webui", params={}, tool_servers=[], features={"image_generation": False, "web_search": False},
         variables={"{{USER_NAME}}": "Ann"}, model_item={"id": "words"}, session_id="s", chat_id="c", id="m",
         background_tasks={"title_generation": True}, stream_options={"include_usage": True}),
    chat("open-webui: title", max_completion_tokens=1000, metadata={"task": "title_generation", "chat_id": None}),
    chat("open-webui: files", files=[]),
    chat("continue", stop=["\n\n\n", "<fim_prefix>"], parallel_tool_calls=False, tools=TOOLS, max_tokens=2048),
    chat("continue: prediction", prediction={"type": "content", "content": "x"}),
    chat("langchain", n=1, temperature=0.7, stream_options={"include_usage": True}, logprobs=False),
    chat("langchain: strict tools", tools=[{"type": "function", "function": {**WEATHER, "strict": True}}],
         parallel_tool_calls=False, tool_choice={"type": "function", "function": {"name": "get_weather"}}),
    chat("langchain: any tool", tools=TOOLS, tool_choice="any"),
    chat("langchain: functions", functions=[WEATHER], function_call="auto"),
    chat("langchain: named function", functions=[WEATHER], function_call={"name": "get_weather"}),
    chat("langchain js", temperature=1, top_p=1, frequency_penalty=0, presence_penalty=0, n=1, stop=None),
    chat("llama-index", temperature=0.1, max_tokens=None),
    chat("aider", temperature=0, extra_headers=None, num_retries=0, timeout=600),
    said("aider: cache", {"role": "system", "content": [
        {"type": "text", "text": "Act.", "cache_control": {"type": "ephemeral"}}]}, user("hi")),
    said("lm-eval", {"role": "user", "content": "2+2?", "type": "text"}, max_tokens=8, temperature=0, seed=1234,
         stop=["\n\n", "<|im_end|>"]),
    chat("lm-eval: until", max_gen_toks=8, status=400, named="max_gen_toks"),
    said("cline", {"role": "system", "content": "You are Cline."},
         user([{"type": "text", "text": "<task>x</task>"}, {"type": "text", "text": "<env/>"}]),
         temperature=0, stream_options={"include_usage": True}, max_completion_tokens=4096),
    said("cline: reasoning", user("a"), {"role": "assistant", "content": "b", "reasoning_details": [
        {"type": "reasoning.text", "text": "x"}]}, user("c")),
    chat("roo", parallel_tool_calls=True, tools=TOOLS, tool_choice="auto", reasoning_effort="medium"),
    chat("roo: openrouter", include_reasoning=True, transforms=["middle-out"], provider={"order": ["a"]}),
    chat("vercel", response_format={"type": "json_schema", "json_schema": {"schema": SCHEMA, "strict": True,
         "name": "response", "description": None}}, store=True, user="u", service_tier="auto"),
    chat("vercel: tools", tools=[{"type": "function", "function": {**WEATHER, "strict": False}}], tool_choice="auto",
         max_tokens=None, top_p=None, seed=None, stop=None, reasoning_effort=None),
    chat("vercel: xai", search_parameters={"mode": "auto"}, status=400, named="search_parameters"),
    chat("librechat", user="6512", temperature=1, top_p=1, presence_penalty=0, frequency_penalty=0),
    chat("librechat: dropped", max_tokens="", status=400, named="max_tokens"),
    chat("n8n", temperature=0.7, top_p=1, frequency_penalty=0, presence_penalty=0, max_tokens=-1, timeout=60000),
    said("zed", {"role": "system", "content": "s"}, user([{"type": "text", "text": "hi"}]), stop=[], temperature=1.0,
         tools=[], parallel_tool_calls=False, max_completion_tokens=None, prompt_cache_key="k", tool_choice=None),
    chat("litellm", drop_params=True, custom_llm_provider="openai", api_base="x", metadata={"a": {"b": 1}}),
    chat("dspy", temperature=0.0, max_tokens=4000, n=1, cache=True, status=400, named="cache"),
    chat("crew", stop=["\nObservation:"], callbacks=[], status=400, named="callbacks"),
    chat("instructor", response_format={"type": "json_schema", "json_schema": {"name": "City", "schema": {
         **SCHEMA, "title": "City", "$defs": {}}}}),
    chat("instructor: tools", tools=[{"type": "function", "function": {**WEATHER, "parameters": SCHEMA}}],
         tool_choice={"type": "function", "function": {"name": "get_weather"}}),
    chat("pydantic-ai", tools=TOOLS, tool_choice="required", parallel_tool_calls=None),
    chat("smolagents", stop=["Observation:", "Calling tools:"], response_format=None, tools=None, tool_choice=None),
    said("autogen", {"role": "system", "content": "s", "name": "s"}, user("hi", name="Ann")),
    said("semantic-kernel", {"role": "developer", "content": "s"}, user("hi"), user="", logit_bias={}, stop=[]),
    chat("ollama's", options={"num_ctx": 4096}, keep_alive=-1, format="json"),
    chat("ollama's schema", format=SCHEMA),
    chat("ollama: think", think=False),
    chat("llama.cpp", n_predict=8, cache_prompt=True, id_slot=-1, repeat_penalty=1.1, top_k=40, min_p=0.05, mirostat=0),
    chat("llama.cpp: grammar", grammar='root ::= "a"', status=400, named="grammar"),
    chat("sillytavern", top_a=0, tfs_z=1, typical_p=1, repetition_penalty=1, top_k=-1, min_tokens=0, logit_bias=[],
         status=400, named="logit_bias"),
    chat("sillytavern: mended", top_a=0, tfs_z=1, typical_p=1, repetition_penalty=1, top_k=-1, min_tokens=0),
    chat("vllm: extra", skip_special_tokens=True, add_generation_prompt=True, include_stop_str_in_output=False,
         spaces_between_special_tokens=True, truncate_prompt_tokens=None, prompt_logprobs=None, priority=0),
    chat("vllm: bench", ignore_eos=True, max_tokens=3, temperature=0.0, stream_options={"include_usage": True}),
    chat("vllm: structured", structured_outputs={"choice": ["a", "b"]}),
    chat("vllm: guided twice", guided_json=SCHEMA, guided_regex="a", status=400, named="guided"),
    chat("vllm: beam search", use_beam_search=True, best_of=4, status=400, named="use_beam_search"),
    chat("sglang", regex="a+", status=400, named="regex"),
    chat("sglang: separate", separate_reasoning=True, stream_reasoning=False, rid="x"),
    chat("groq", reasoning_format="parsed", status=400, named="reasoning_format"),
    chat("deepseek", thinking={"type": "enabled"}, response_format={"type": "json_object"}),
    chat("qwen", enable_thinking=True, thinking_budget=100, incremental_output=True, result_format="message"),
    chat("gemini's gateway", reasoning_effort="none", modalities=["text"], audio=None),
    chat("audio", modalities=["text", "audio"], audio={"voice": "alloy"}, status=400, named="modalities"),
    chat("azure", data_sources=[], status=400, named="data_sources"),
    said("openai: replay", user("a"), {"role": "assistant", "content": "b", "refusal": None, "annotations": [],
         "audio": None, "function_call": None, "tool_calls": None, "parsed": None}, user("c")),
    said("openai: replay of a call", user("a"), {"role": "assistant", "content": None, "tool_calls": [
         {**CALL, "index": 0, "function": {**CALL["function"], "parsed_arguments": {"city": "Ulm"}}}]},
         {"role": "tool", "tool_call_id": "c1", "content": "72"}, tools=TOOLS),
    said("two results", user("a"), {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "c2"}]},
         {"role": "tool", "tool_call_id": "c1", "content": "72"},
         {"role": "tool", "tool_call_id": "c2", "content": ""}),
    said("prefix", user("a"), {"role": "assistant", "content": "The", "prefix": True}),
    said("message as text", "hi", status=400, named="messages"),
    said("no role", {"content": "hi"}, status=400, named="role"),
    said("odd role", {"role": "model", "content": "hi"}, status=400, named="role"),
    said("a number", user(5), status=400, named="content"),
    said("an object", user({"text": "hi"}), status=400, named="content"),
    said("an image", user([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]), status=400,
         named="messages.0.content"),
    said("a result of nothing", user("a"), {"role": "tool", "content": "72"}, status=400, named="tool_call_id"),
    said("calls of a user", user("a", tool_calls=[CALL]), status=400, named="tool_calls"),
    ("messages as text", "/v1/chat/completions", {"messages": "hi"}, 400, "messages"),
    ("no messages", "/v1/chat/completions", {"prompt": "hi"}, 400, "messages"),
    chat("model as null", model=None, status=400, named="model"),
    chat("no such model", model="gpt-4o", status=404, named="gpt-4o"),
    chat("text for a number", temperature="warm", status=400, named="temperature"),
    chat("true for a number", temperature=True, status=400, named="temperature"),
    chat("NaN as text", temperature="NaN", status=400, named="temperature"),
    chat("below zero", top_p=-0.1, status=400, named="top_p"),
    chat("too many", n=129, status=400, named="n"),
    chat("half a reply", n=1.5, status=400, named="n"),
    chat("two limits", max_tokens=5, max_completion_tokens=6, status=400, named="max_tokens"),
    chat("too many top logprobs", logprobs=True, top_logprobs=21, status=400, named="top_logprobs"),
    chat("top logprobs alone", top_logprobs=2, status=400, named="top_logprobs"),
    chat("a choice without tools", tool_choice="required", status=400, named="tool_choice"),
    chat("a choice of nothing", tools=TOOLS, tool_choice={"type": "function", "function": {"name": "x"}}, status=400,
         named="tool_choice"),
    chat("tools as an object", tools={"get_weather": {}}, status=400, named="tools"),
    chat("a hosted tool", tools=[{"type": "web_search"}], status=400, named="tools"),
    chat("a tool without a name", tools=[{"type": "function", "function": {}}], status=400, named="tools"),
    chat("two tools of one name", tools=TOOLS * 2, status=400, named="tools"),
    chat("flat tools", tools=[{"type": "function", **WEATHER}]),
    chat("a format of no kind", response_format={"type": "xml"}, status=400, named="response_format"),
    chat("a format as text", response_format="json", status=400, named="response_format"),
    chat("a schema that is none", response_format={"type": "json_schema", "json_schema": {"schema": {"type": 5}}},
         status=400, named="response_format"),
    chat("a reference to nothing", guided_json={"$ref": "#/$defs/none"}, status=400, named="response_format"),
    chat("an expression that is none", guided_regex="(", status=400, named="response_format"),
    chat("stream as text", stream="yes please", status=400, named="stream"),
    chat("usage without a stream", stream_options={"include_usage": True}),
    chat("odd bias", logit_bias={"hello": 1}, status=400, named="logit_bias"),
    chat("unknown field", frobnicate=1, status=400, named="frobnicate"),
    chat("extension of ours", collegium={"explain": True}),
    chat("odd extension", collegium={"experts": 5}, status=400, named="collegium.experts"),
    chat("an unknown effort", reasoning_effort="enormous", status=400, named="reasoning_effort"),
    chat("seed too large", seed=2**64, status=400, named="seed"),
    chat("a vote", model="vote", collegium={"kind": "text"}),
    chat("a vote with tools that it may leave out", model="vote", tools=TOOLS, tool_choice="auto"),
    chat("a vote with a tool to call", model="vote", tools=TOOLS, tool_choice="required", status=400, named="tools"),
    chat("vllm: the prompt's tokens", prompt_logprobs=1, stream=False),
    chat("vllm: the prompt's tokens, streamed", prompt_logprobs=1, stream=True, status=400, named="prompt_logprobs"),
    chat("a vote n times", model="vote", n=2, status=400, named="n"),
    chat("a vote by schema", model="vote", response_format={"type": "json_object"}, status=400,
         named="response_format"),
    chat("roo: all there is room for", max_completion_tokens=1_048_576),
    chat("litellm: caching", cache_control={"type": "ephemeral"}, max_retries=2),
    chat("dify: nothing in particular", response_format={}, extra_body={}, extra_headers={}, reasoning_effort="",
         thinking={}, stop=[], functions=[]),
    chat("spring: nulls inside", stream_options={"include_usage": None}, collegium={"kind": None}),
    chat("tools without parameters", tools=[{"type": "function", "function": {"name": "f", "parameters": None,
         "description": None}}, {"type": "function", "function": {"name": "g", "parameters": {}}}]),
    chat("a tool of Gemini's", tools=[{"googleSearch": {}}], status=400, named="tools"),
    said("mistral: thoughts sent back", user("a"), {"role": "assistant", "content": [
         {"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}, {"type": "text", "text": "b"}]}, user("c")),
    said("vercel: thoughts sent back", user("a"), {"role": "assistant", "content": [
         {"type": "reasoning", "text": "x"}, {"type": "text", "text": "b"}]}, user("c")),
    said("thoughts of a user", user([{"type": "thinking", "thinking": "x"}]), status=400, named="messages.0.content.0"),
    said("a call that was broken off", user("a"), {"role": "assistant", "content": "", "tool_calls": [
         {**CALL, "function": {"name": "get_weather", "arguments": '{"city": "U'}}]},
         {"role": "tool", "tool_call_id": "c1", "content": "bad JSON"}, tools=TOOLS),
    said("a call without an answer", user("a"), {"role": "assistant", "tool_calls": [CALL]}, user("b"), tools=TOOLS),
    said("an answer without its call", {"role": "tool", "tool_call_id": "c9", "content": "72"}, user("b")),
    said("gemini's signature", user("a"), {"role": "assistant", "content": None, "tool_calls": [
         {**CALL, "extra_content": {"google": {"thought_signature": "x"}}}]},
         {"role": "tool", "tool_call_id": "c1", "content": None}),
    said("an answer as an object", user("a"), {"role": "assistant", "tool_calls": [CALL]},
         {"role": "tool", "tool_call_id": "c1", "content": {"t": 72}}, status=400, named="messages.2.content"),
    said("a vote on nothing", {"role": "system", "content": "s"}, model="vote", status=400, named="messages"),
]  # fmt: skip
COMPLETIONS: list[Row] = [
    completion("lm-eval", prompt="a b c", max_tokens=1, logprobs=1, echo=True, temperature=0, seed=1234),
    completion("lm-eval: several", prompt=["a b", "c d"], max_tokens=1, logprobs=1, echo=True),
    completion("llama-index", temperature=0.1, n=1, stop=None),
    completion("continue: autocomplete", prompt="<fim_prefix>def<fim_suffix>x<fim_middle>", stop=["<fim_prefix>", "\n"],
               temperature=0.01, max_tokens=256),
    completion("continue: suffix", suffix="return 1", status=400, named="suffix"),
    completion("empty suffix", suffix="", best_of=1, user="u", logprobs=None),
    completion("best of", best_of=3, status=400, named="best_of"),
    completion("messages", messages=HELLO, status=400, named="messages"),
    completion("no prompt", prompt=None, status=400, named="prompt"),
    completion("an object", prompt={"a": 1}, status=400, named="prompt"),
    completion("texts and numbers", prompt=["a", 1], status=400, named="prompt"),
    completion("true logprobs", logprobs=True, status=400, named="logprobs"),
    completion("a method", model="vote", status=400, named="model"),
    completion("token ids for a script", prompt=[1, 2], status=400, named="prompt"),
    completion("tools", tools=TOOLS, status=400, named="tools"),
]  # fmt: skip
_CODEX: Any = {
    "instructions": "You are Codex.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions/>"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "fix it"}]},
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "AA=="},
        {"type": "function_call", "name": "get_weather", "arguments": '{"city": "Ulm"}', "call_id": "c1"},
        {"type": "function_call_output", "call_id": "c1", "output": "dry"},
        {"type": "function_call", "name": "get_weather", "arguments": "{}", "call_id": "c2"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "wet"}]},
    ],
    "tools": [{"type": "function", **WEATHER, "strict": False}, {"type": "web_search"},
              {"type": "custom", "name": "apply_patch", "format": {"type": "grammar"}}, {"type": "local_shell"}],
    "tool_choice": "auto", "parallel_tool_calls": False, "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k", "text": {"verbosity": "low"},
}  # fmt: skip
RESPONSES: list[Row] = [
    response("codex", **_CODEX),
    response("codex: tools in the input", input=[
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "namespace", "name": "functions",
         "tools": [{"type": "custom", "name": "exec"}, {"type": "function", **WEATHER}]}]}, user("hi")]),
    response("codex: agents", tools=[{"type": "namespace", "name": "agents", "tools": [
             {"type": "function", **WEATHER}]}]),
    response("a namespace of no name", tools=[{"type": "namespace", "tools": []}], status=400, named="tools.0.name"),
    response("shells of other models", input=[user("a"), {"type": "local_shell_call", "call_id": "c",
             "status": "completed", "action": {"type": "exec", "command": ["ls"]}},
             {"type": "local_shell_call_output", "call_id": "c", "output": "x"},
             {"type": "shell_call", "call_id": "d", "action": {"commands": ["ls"]}},
             {"type": "shell_call_output", "call_id": "d", "output": [{"stdout": "x", "stderr": ""}]}]),
    response("tools that were found", input=[user("a"), {"type": "tool_search_call", "call_id": "c", "arguments": {}},
             {"type": "tool_search_output", "call_id": "c", "tools": [{"type": "function", **WEATHER}]}]),
    response("agents sdk", input=[user("hi")], tools=[], tool_choice=None, include=[], store=None, metadata=None,
             truncation=None, top_logprobs=None, prompt_cache_retention=None),
    response("vercel", input=[{"role": "system", "content": "s"}, {"role": "user", "content": [
             {"type": "input_text", "text": "hi"}]}, {"role": "assistant", "id": "msg_1", "content": [
             {"type": "output_text", "text": "b"}]}, user("c")], max_output_tokens=50, temperature=0),
    response("vercel: object", text={"format": {"type": "json_schema", "strict": True, "name": "r", "schema": SCHEMA}}),
    response("n8n", input=[user("hi")], text={"format": {"type": "text"}}, temperature=0.7, top_p=1),
    response("langchain", input=[user([{"type": "text", "text": "hi"}])], truncation="disabled"),
    response("a named function", tools=[{"type": "function", **WEATHER}],
             tool_choice={"type": "function", "name": "get_weather"}),
    response("allowed tools", tools=[{"type": "function", **WEATHER}], tool_choice={"type": "allowed_tools",
             "mode": "auto", "tools": [{"type": "function", "name": "get_weather"}]}),
    response("a vote", model="vote", collegium={"kind": "text"}),
    response("an image", input=[user([{"type": "input_image", "image_url": "x"}])], status=400, named="input.0"),
    response("messages", messages=HELLO, status=400, named="messages"),
    response("no input", input=None, status=400, named="input"),
    response("a number", input=5, status=400, named="input"),
    response("chat's tools", tools=TOOLS, status=400, named="tools"),
    response("chat's limit", max_tokens=5, status=400, named="max_tokens"),
    response("in the background", background=True, status=400, named="background"),
    response("a conversation", conversation="conv_1", status=400, named="conversation"),
    response("a prompt of OpenAI's", prompt={"id": "p"}, status=400, named="prompt"),
]  # fmt: skip
_CLAUDE_CODE: Any = {
    "system": [{"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "<reminder/>"}, {"type": "text", "text": "fix it",
         "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "s"},
         {"type": "tool_use", "id": "t1", "name": "Read", "input": {"path": "a"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [
         {"type": "text", "text": "1"}], "is_error": False}]},
    ],
    "tools": [{"name": "Read", "description": "d", "input_schema": {"$schema": "http://json-schema.org/draft-07/schema#",
              "type": "object", "properties": {"path": {"type": "string"}}, "additionalProperties": False}},
              {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}],
    "metadata": {"user_id": "u"}, "max_tokens": 32000, "temperature": 1, "output_config": {"effort": "medium"},
    "thinking": {"type": "adaptive"}, "context_management": {"edits": []},
}  # fmt: skip
MESSAGES: list[Row] = [
    message("claude code", **_CLAUDE_CODE),
    message("stop sequences", stop_sequences=["\n\nHuman:"], top_k=5, top_p=0.9, service_tier="auto"),
    message("a tool that must be used", tools=[{"name": "f", "input_schema": SCHEMA}],
            tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True}),
    message("bedrock", anthropic_version="bedrock-2023-05-31", anthropic_beta=["x"], max_tokens=2_000_000),
    message("where it runs", inference_geo="us", status=400, named="inference_geo"),
    message("no limit", max_tokens=None, status=400, named="max_tokens"),
    message("an image", messages=[user([{"type": "image", "source": {}}])], status=400, named="messages.0.content.0"),
    message("openai's system", messages=[{"role": "system", "content": "s"}, *HELLO]),
    message("openai's tools", tools=TOOLS, status=400, named="tools"),
    message("openai's limit", max_completion_tokens=5, status=400, named="max_completion_tokens"),
    message("openai's stop", stop=["a"], status=400, named="stop"),
    message("a text", messages="hi", status=400, named="messages"),
]  # fmt: skip
VECTORS: list[Row] = [
    vectors("openai", encoding_format="base64", user="u"),
    vectors("langchain", input=[[1, 2, 3]], encoding_format="base64", status=400, named="check_embedding_ctx_length"),
    vectors("langchain: texts", input=["a", "b"], encoding_format="float", dimensions=None),
    vectors("llama-index", input=["a"], encoding_format=None),
    vectors("open-webui", input=["search_query: a"], input_type="query", truncate="END"),
    vectors("n8n", input=["a"], stripNewLines=True, status=400, named="stripNewLines"),
    vectors("no input", input=None, status=400, named="input"),
    vectors("nothing", input=[], status=400, named="input"),
    vectors("bytes", encoding_format="bytes", status=400, named="encoding_format"),
    vectors("fewer dimensions", dimensions=64, status=400, named="dimensions"),
    vectors("an expert", model="words", status=404, named="words"),
]  # fmt: skip
OTHERS: list[Row] = [
    ("tokenize a script", "/tokenize", {"prompt": "a"}, 400, "model"),
    ("count for a script", "/v1/messages/count_tokens", {"messages": HELLO}, 400, "model"),
    ("llama.cpp's tokenize", "/tokenize", {"content": "a"}, 400, "content"),
    ("detokenize nothing", "/detokenize", {}, 400, "tokens"),
    (
        "a batch of nothing",
        "/v1/batches",
        {"input_file_id": "file-x", "endpoint": "/v1/chat/completions"},
        400,
        "model",
    ),
    ("route nothing", "/v1/route", {"questions": [""], "model": None}, 400, "questions"),
    ("feedback on nobody", "/v1/feedback", {"question": "a", "expert": "x", "score": 1, "model": None}, 400, "expert"),
    ("a job of no kind", "/v1/jobs", {"pipeline": "x", "request": {}, "model": None}, 400, "pipeline"),
]
ROWS = [*CHATS, *COMPLETIONS, *RESPONSES, *MESSAGES, *VECTORS, *OTHERS]
