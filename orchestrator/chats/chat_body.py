"""What a client may send: OpenAI's chat completion request, with one field of our own, `collegium`.

https://platform.openai.com/docs/api-reference/chat/create. What clients of many makes send is brought into this form
first (`tolerance`): fields without meaning for a server are ignored and named in the response; fields that would change
the answer and are not supported are refused by name, so that nothing is dropped in silence.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, model_validator

from agents.question import AnswerKind
from orchestrator.chats.body import MAX_TOKENS, BodyPart, ShortText
from orchestrator.chats.sampling_body import MAX_SCHEMA, SamplingBody
from orchestrator.fusion_config import Preset
from orchestrator.inference.request import PromptMessage, Sampling

MAX_MESSAGES = 2048
NOT_THE_TEMPLATES = frozenset(
    {
        "add_generation_prompt", "chat_template", "continue_final_message", "conversation", "documents", "max_length",
        "messages", "padding", "return_assistant_tokens_mask", "return_dict", "return_tensors", "tokenize",
        "tokenizer_kwargs", "tools", "truncation",
    }
)  # fmt: skip
"""What decides how a template is used; its variables are anything else."""


class TextPart(BodyPart):
    """A text within a message."""

    type: Literal["text"]
    text: str


FunctionName = Annotated[str, Field(pattern=r"^[^\s\"'\\<>{}]{1,256}$")]
"""As clients send them (`server/tool`, `files:read`): anything that stays readable in a call of it."""


class CalledFunction(BodyPart):
    """The function that a model calls, with its arguments."""

    name: FunctionName
    arguments: str = Field(description="A JSON object, as text.")


class ToolCall(BodyPart):
    """A call of a tool, sent back as it came."""

    id: str = Field(min_length=1, max_length=256)
    type: Literal["function"] = "function"
    function: CalledFunction


class FunctionDefinition(BodyPart):
    """A function's name, purpose and parameters."""

    name: FunctionName
    description: str | None = Field(default=None, max_length=100_000)
    parameters: dict[str, JsonValue] | None = Field(default=None, description="A JSON schema.")
    strict: bool | None = Field(default=None, description="Without effect; `required` is always held to the schema.")


class Tool(BodyPart):
    """A function that the model may call."""

    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(BodyPart):
    """The name of a function that must be called."""

    name: FunctionName


class NamedTool(BodyPart):
    """The tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


class ChatMessage(BodyPart):
    """One turn: text, calls of tools, or what a tool gave back."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = Field(default=None, max_length=256)
    audio: None = None
    tool_calls: list[ToolCall] | None = Field(default=None, max_length=128)
    tool_call_id: str | None = Field(default=None, max_length=256)

    @model_validator(mode="after")
    def _of_its_role(self) -> ChatMessage:
        if self.tool_calls and self.role != "assistant":
            raise ValueError("tool_calls: only an assistant's message has them")
        if (self.tool_call_id is not None) != (self.role == "tool"):
            raise ValueError("tool_call_id goes with role tool, and only with it")
        return self

    @property
    def message(self) -> PromptMessage:
        """Role and text, as experts receive them."""
        content = self.content or ""
        text = content if isinstance(content, str) else "\n".join(part.text for part in content)
        return ("system" if self.role == "developer" else self.role), text

    @property
    def of_tools(self) -> dict[str, Any]:
        """Its fields besides the text, as `Tools.turns` has them."""
        if self.role == "tool":
            return {"tool_call_id": self.tool_call_id} | ({"name": self.name} if self.name else {})
        return {"tool_calls": [call.model_dump() for call in self.tool_calls]} if self.tool_calls else {}


class Extension(BodyPart):
    """What Collegium adds: how several experts should answer, and whether to be told how they did."""

    kind: AnswerKind = Field(
        default="open", description="Kind of answer that is wanted, for methods that count answers."
    )
    choices: dict[ShortText, Annotated[str, Field(max_length=10_000)]] | None = Field(
        default=None,
        min_length=2,
        max_length=26,
        description="Lettered options: letter -> text. The kind is `choice` then.",
    )
    recruit: int | None = Field(default=None, ge=1, le=64, description="Experts that mixture asks.")
    calls: float | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Mean experts that mixture (in place of recruit) or escalate asks by need.",
    )
    preset: Preset | None = Field(default=None, description="Preset of fusion: budget or quality.")
    explain: bool = Field(default=False, description="Tell experts and cost with a plain expert's reply too.")

    @model_validator(mode="after")
    def _one_number(self) -> Extension:
        if self.recruit is not None and self.calls is not None:
            raise ValueError("calls: give either calls (by need) or recruit (always so many), not both")
        return self


class ChatBody(SamplingBody):
    """A chat with an expert, with `mixture`, or with any other method, as `model`."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=MAX_TOKENS)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tools: list[Tool] | None = Field(default=None, max_length=128, description="For one expert only.")
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = Field(default=None, description="false: at most one call is returned.")
    chat_template_kwargs: dict[ShortText, JsonValue] = Field(
        default_factory=dict, max_length=32, description="Variables of the chat template, such as enable_thinking."
    )
    continue_final_message: bool = Field(
        default=False, description="Go on with the last message, which must be an assistant's."
    )
    echo: bool = Field(default=False, description="With continue_final_message: the reply begins with that message.")
    collegium: Extension = Field(default_factory=Extension)

    @model_validator(mode="after")
    def _sound(self) -> ChatBody:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        if self.continue_final_message and (self.messages[-1].role != "assistant" or self.messages[-1].tool_calls):
            raise ValueError("continue_final_message: the last message must be an assistant's text")
        if self.echo and not self.continue_final_message:
            raise ValueError("echo: a chat has nothing to repeat unless continue_final_message is true")
        if taken := self.chat_template_kwargs.keys() & NOT_THE_TEMPLATES:
            raise ValueError(f"chat_template_kwargs: {min(taken)} is no variable of a chat template")
        if len(json.dumps(self.chat_template_kwargs)) > MAX_SCHEMA:
            raise ValueError(f"chat_template_kwargs: more than {MAX_SCHEMA} characters")
        self._sound_tools()
        return self

    def _sound_tools(self) -> None:
        names = [tool.function.name for tool in self.tools or ()]
        if len(set(names)) < len(names):
            raise ValueError("tools: two functions have one name")
        if sum(len(tool.model_dump_json()) for tool in self.tools or ()) > MAX_SCHEMA:
            raise ValueError(f"tools: more than {MAX_SCHEMA} characters")
        chosen = self.tool_choice
        if chosen not in (None, "none", "auto") and not names:
            raise ValueError("tool_choice needs tools")
        if isinstance(chosen, NamedTool) and chosen.function.name not in names:
            raise ValueError(f"tool_choice: no function {chosen.function.name!r} among the tools")

    @property
    def offered_tools(self) -> list[Tool]:
        """Tools that may be called."""
        return [] if self.tool_choice == "none" else self.tools or []

    @property
    def turns(self) -> dict[int, dict[str, Any]]:
        """What messages have besides their texts: see `Tools.turns`."""
        return {number: fields for number, message in enumerate(self.messages) if (fields := message.of_tools)}

    @property
    def conversation(self) -> tuple[PromptMessage, ...]:
        """The messages as experts receive them."""
        return tuple(message.message for message in self.messages)

    def sampling(self, context: int, temperature: float) -> Sampling:
        """As `SamplingBody.sampling`, with what only chats have."""
        return replace(
            super().sampling(context, temperature),
            max_tokens=min(self.max_completion_tokens or self.max_tokens or context, context),
            logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            template=json.dumps(self.chat_template_kwargs, sort_keys=True) if self.chat_template_kwargs else None,
            continue_final=self.continue_final_message,
        )
