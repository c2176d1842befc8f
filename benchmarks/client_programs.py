"""One small program per client: its argument is the service's URL, its last line says what it saw.

Each asserts what its users rely on, and prints its package's version.
"""

from __future__ import annotations

_HEAD = """
import sys
from importlib.metadata import version
URL = sys.argv[1]
V1 = URL + "/v1"
ASKED = "What is the capital of France?"
"""

_OPENAI = """
import json, openai
client = openai.OpenAI(base_url=V1, api_key="none", max_retries=0)
"""

PROGRAMS: dict[str, str] = {
    "openai: chat": _OPENAI
    + """
reply = client.chat.completions.create(model="base", messages=[{"role": "user", "content": ASKED}], max_tokens=30)
assert reply.choices[0].message.content and reply.usage.total_tokens > 0
chunks = list(client.chat.completions.create(model="base", messages=[{"role": "user", "content": ASKED}], max_tokens=30,
    stream=True, stream_options={"include_usage": True}))
assert chunks[-1].usage.total_tokens > 0 and all(chunk.choices for chunk in chunks[:-1])
names = [model.id for model in client.models.list()]
assert "base" in names and "vote" in names
print("chat, stream, models; openai", version("openai"))
""",
    "openai: async": """
import asyncio, openai
async def main():
    async with openai.AsyncOpenAI(base_url=V1, api_key="none", max_retries=0) as client:
        async def ask(n):
            return await client.chat.completions.create(
                model="base", messages=[{"role": "user", "content": f"Count to {n}."}], max_tokens=10)
        replies = await asyncio.gather(*(ask(n) for n in range(8)))
        assert all(reply.choices[0].message.content for reply in replies)
asyncio.run(main())
print("8 at once; openai", version("openai"))
""",
    "openai: parse": _OPENAI
    + """
from pydantic import BaseModel
class City(BaseModel):
    name: str
parsed = client.chat.completions.parse(
    model="base", messages=[{"role": "user", "content": ASKED}], response_format=City, max_tokens=60)
assert isinstance(parsed.choices[0].message.parsed, City)
again = client.chat.completions.create(model="base", max_tokens=5, messages=[{"role": "user", "content": ASKED},
    parsed.choices[0].message.model_dump(), {"role": "user", "content": "And?"}])
assert again.choices
print("parsed and sent back; openai", version("openai"))
""",
    "openai: responses": _OPENAI
    + """
first = client.responses.create(model="base", input=ASKED, max_output_tokens=30)
assert first.output_text
schema = {"type": "object", "properties": {"capital": {"type": "string", "maxLength": 20}}, "required": ["capital"],
          "additionalProperties": False}
form = {"format": {"type": "json_schema", "name": "city", "schema": schema, "strict": True}}
with client.responses.stream(model="base", input="And of Spain?", previous_response_id=first.id, text=form) as stream:
    for event in stream:
        pass
assert stream.get_final_response().output_text
print("responses, stream, state; openai", version("openai"))
""",
    "openai: batches": _OPENAI
    + """
import time
rows = b"".join(json.dumps({"custom_id": str(n), "method": "POST", "url": "/v1/chat/completions", "body": {
    "model": "base", "messages": [{"role": "user", "content": f"Count to {n}."}], "max_tokens": 8}}).encode() + b"\\n"
    for n in range(12))
file = client.files.create(file=("asked.jsonl", rows), purpose="batch")
batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
for _ in range(600):
    batch = client.batches.retrieve(batch.id)
    if batch.status == "completed":
        break
    time.sleep(0.2)
assert batch.request_counts.completed == 12, batch
assert len(client.files.content(batch.output_file_id).text.splitlines()) == 12
print("file, batch of 12, output; openai", version("openai"))
""",
    "openai: embeddings": _OPENAI
    + """
found = client.embeddings.create(model="embedder", input=["a", "b"])
assert len(found.data) == 2 and len(found.data[0].embedding) > 100
print("two vectors; openai", version("openai"))
""",
    "openai-agents": """
from agents import (Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool,
    set_tracing_disabled)
from openai import AsyncOpenAI
set_tracing_disabled(True)
client = AsyncOpenAI(base_url=V1, api_key="none", max_retries=0)
@function_tool
def weather(city: str) -> str:
    "The weather of a city."
    return "dry"
for kind in (OpenAIResponsesModel, OpenAIChatCompletionsModel):
    agent = Agent(name="a", instructions="Be brief.", model=kind("base", client), tools=[weather],
                  model_settings=ModelSettings(max_tokens=40))
    result = Runner.run_sync(agent, ASKED, max_turns=4)
    assert result.final_output
print("both models, with a tool; openai-agents", version("openai-agents"))
""",
    "langchain-openai": """
from langchain_openai import ChatOpenAI
chat = ChatOpenAI(base_url=V1, api_key="none", model="base", max_retries=0, max_tokens=30)
reply = chat.invoke(ASKED)
assert reply.content and reply.usage_metadata["total_tokens"] > 0
assert "".join(chunk.content for chunk in chat.stream(ASKED))
assert len(chat.batch([ASKED, "And of Spain?"])) == 2
responses = ChatOpenAI(base_url=V1, api_key="none", model="base", max_retries=0, use_responses_api=True,
                       max_tokens=30)
assert responses.invoke(ASKED).text
print("invoke, stream, batch, responses; langchain-openai", version("langchain-openai"))
""",
    "llama-index": """
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike
llm = OpenAILike(model="base", api_base=V1, api_key="none", is_chat_model=True, max_retries=0, max_tokens=30)
assert llm.chat([ChatMessage(role="user", content=ASKED)]).message.content
assert "".join(part.delta or "" for part in llm.stream_chat([ChatMessage(role="user", content=ASKED)]))
print("chat, stream; llama-index-llms-openai-like", version("llama-index-llms-openai-like"))
""",
    "dspy": """
import dspy
dspy.configure(lm=dspy.LM("openai/base", api_base=V1, api_key="none", max_tokens=100, cache=False, num_retries=0))
assert dspy.settings.lm(ASKED)[0]
print("LM; dspy", version("dspy"))
""",
    "instructor": """
import instructor, openai
from pydantic import BaseModel, Field
class City(BaseModel):
    name: str = Field(max_length=20)
official = openai.OpenAI(base_url=V1, api_key="none", max_retries=0)
client = instructor.from_openai(official, mode=instructor.Mode.JSON_SCHEMA)
city = client.chat.completions.create(model="base", response_model=City, max_retries=1, max_tokens=60,
                                      messages=[{"role": "user", "content": ASKED}])
assert isinstance(city, City)
print("a model by schema; instructor", version("instructor"))
""",
    "pydantic-ai": """
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
provider = OpenAIProvider(base_url=V1, api_key="none")
for kind in (OpenAIChatModel, OpenAIResponsesModel):
    assert Agent(kind("base", provider=provider), model_settings={"max_tokens": 40}).run_sync(ASKED).output
print("chat and responses; pydantic-ai-slim", version("pydantic-ai-slim"))
""",
    "litellm": """
import litellm
reply = litellm.completion(model="openai/base", api_base=V1, api_key="none", max_tokens=30,
                           messages=[{"role": "user", "content": ASKED}], user="ann", metadata={"a": "b"})
assert reply.choices[0].message.content
parts = litellm.completion(model="openai/base", api_base=V1, api_key="none", max_tokens=30, stream=True,
                           messages=[{"role": "user", "content": ASKED}])
assert "".join(part.choices[0].delta.content or "" for part in parts)
print("completion, stream; litellm", version("litellm"))
""",
    "smolagents": """
from smolagents import OpenAIServerModel
model = OpenAIServerModel(model_id="base", api_base=V1, api_key="none", max_tokens=30)
assert model.generate([{"role": "user", "content": [{"type": "text", "text": ASKED}]}]).content
print("generate; smolagents", version("smolagents"))
""",
    "anthropic": """
import anthropic
client = anthropic.Anthropic(base_url=URL, api_key="none", max_retries=0)
message = client.messages.create(model="base", max_tokens=30, messages=[{"role": "user", "content": ASKED}])
assert message.content[0].text
with client.messages.stream(model="base", max_tokens=30, messages=[{"role": "user", "content": ASKED}]) as stream:
    assert "".join(stream.text_stream)
print("messages, stream; anthropic", version("anthropic"))
""",
    "curl-like form": """
import json, urllib.request
body = json.dumps({"model": "base", "max_tokens": 5, "messages": [{"role": "user", "content": ASKED}]}).encode()
for path in ("/v1/chat/completions", "/chat/completions", "/v1/chat/completions/"):
    asked = urllib.request.Request(URL + path, body, {"Content-Type": "application/json"})
    assert json.load(urllib.request.urlopen(asked))["choices"]
print("paths as people write them; urllib of Python", sys.version.split()[0])
""",
}

PROGRAMS = {name: _HEAD + program for name, program in PROGRAMS.items()}
