"""Transcripts made by hand, and a Llama of two tiny layers with a byte-level tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.question import Question
from agents.reply import parse_reply
from agents.transcript import Message, Seat, Transcript, Turn

TEMPLATE = (
    "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)


def discussed(
    number: int = 0, rounds: list[list[str | None]] | None = None, answer: str | None = "12", **question: Any
) -> Transcript:
    """A transcript whose agents all read all replies of the round before. `rounds[r][a]`: what agent a said in round
    r; None: nothing."""
    rounds = (
        rounds
        if rounds is not None
        else [
            ["3 x 4 = 12.\nAnswer: 12\nConfidence: 0.9", "3 + 4 = 7.\nAnswer: 7\nConfidence: 0.4"],
            ["3 x 4 = 12.\nAnswer: 12\nConfidence: 0.9", "Threes: 3, 6, 9, 12.\nAnswer: 12\nConfidence: 0.8"],
        ]
    )
    settings = {"id": f"q{number}", "task": "sums", "question": f"What is 3 x 4? ({number})", "kind": "number"}
    asked = Question(**{**settings, "answer": answer, **question})
    turns: list[Turn] = []
    before: tuple[int, ...] = ()
    for place, replies in enumerate(rounds):
        said = []
        for seat, text in enumerate(replies):
            if text is None:
                continue
            reply = parse_reply(text, asked)
            said.append(len(turns))
            turns.append(
                Turn(
                    round=place,
                    seat=seat,
                    prompt=0,
                    heard=before,
                    text=text,
                    characters=len(text),
                    reasoning=reply.reasoning,
                    answer=reply.answer,
                    stated=reply.confidence,
                    prompt_tokens=40,
                    completion_tokens=len(text.split()),
                )
            )
        before = tuple(said)
    seats = tuple(Seat(name=f"agent{seat}", model=f"model{seat}") for seat in range(max(map(len, rounds), default=1)))
    prompts = ((Message(role="user", content=asked.question),),)
    return Transcript(question=asked, discussion="debate", seats=seats, prompts=prompts, turns=tuple(turns))


@pytest.fixture(scope="session")
def discuss() -> Callable[..., Transcript]:
    return discussed


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that trains in milliseconds."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    letters = sorted(ByteLevel.alphabet())
    tokens = Tokenizer(BPE({letter: index for index, letter in enumerate(letters)}, []))
    tokens.pre_tokenizer, tokens.decoder = ByteLevel(add_prefix_space=False), Decoder()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(letters) + 2,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        initializer_range=0.3,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=257,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder
