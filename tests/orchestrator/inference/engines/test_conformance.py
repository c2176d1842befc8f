"""What every engine promises (orchestrator/inference/engines/engine.py), on all four."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import asdict, replace
from typing import Any

import pytest

from orchestrator.errors import PromptTooLong, RequestError
from orchestrator.inference.engines.grammar_process import GrammarRefused
from orchestrator.inference.request import PROMPT, PROMPT_IDS, Sampling, request_key

# vLLM's call of xgrammar.
pytestmark = pytest.mark.filterwarnings("ignore:max_rollback_tokens:DeprecationWarning")

QUESTION = "Tell me about rivers."
LONG = "Here are notes to read first. " + " ".join(
    f"Item {number} is on shelf {number * 7 % 40}." for number in range(30)
)


def joined(deltas: list[Any]) -> str:
    assert deltas[-1].error is None, deltas[-1].error
    return "".join(delta.text for delta in deltas)


def test_deltas_join_to_the_reply_and_the_last_says_why_it_ended(anywhere: Any) -> None:
    request = anywhere.request(QUESTION)
    deltas = anywhere.run(request)[request.key]
    assert len(deltas) > 4
    assert [delta.last for delta in deltas] == [False] * (len(deltas) - 1) + [True]
    assert joined(deltas).strip()
    assert sum(delta.tokens for delta in deltas) == 12
    assert deltas[-1].prompt_tokens > 0
    assert anywhere.ask(QUESTION) == joined(deltas)


def test_more_requests_than_fit_at_once_are_all_answered(subject: Any) -> None:
    requests = [subject.request(f"Count from {number}.", max_tokens=3 + number % 5) for number in range(20)]
    deltas = subject.run(*requests)
    for request in requests:
        joined(deltas[request.key])
        assert sum(delta.tokens for delta in deltas[request.key]) <= request.sampling.max_tokens


def test_a_late_request_joins_those_that_run(anywhere: Any) -> None:
    early, late = anywhere.request(QUESTION, max_tokens=24), anywhere.request("Name a colour.", max_tokens=3)
    anywhere.engine.add(early, anywhere.first)
    seen: list[Any] = []
    while len(seen) < 3:
        seen += anywhere.engine.step()
    anywhere.engine.add(late, anywhere.first)
    order = []
    deltas = {early.key: seen, late.key: []}
    while len(order) < 2:
        for delta in anywhere.engine.step():
            deltas[delta.key].append(delta)
            order += [delta.key] if delta.last else []
    assert order == [late.key, early.key]
    assert joined(deltas[late.key]) == anywhere.ask("Name a colour.", max_tokens=3)


def test_an_aborted_request_is_silent_and_the_others_go_on(anywhere: Any) -> None:
    doomed, other = anywhere.request(QUESTION, max_tokens=30), anywhere.request("Name a colour.", max_tokens=6)
    anywhere.engine.add(doomed, anywhere.first)
    anywhere.engine.add(other, anywhere.first)
    while not anywhere.engine.step():
        pass
    anywhere.engine.abort(doomed.key)
    deltas = anywhere.drain({other.key})
    assert doomed.key not in deltas
    assert joined(deltas[other.key])
    anywhere.engine.abort(doomed.key)
    anywhere.engine.abort("never heard of")
    assert anywhere.engine.step() == []


@pytest.mark.parametrize("count", [1, 7])
def test_max_tokens_is_the_length_of_a_cut_reply(subject: Any, count: int) -> None:
    request = subject.request(QUESTION, max_tokens=count)
    deltas = subject.run(request)[request.key]
    assert sum(delta.tokens for delta in deltas) == count
    assert deltas[-1].finish_reason == "length"


def test_a_stop_string_ends_the_reply_and_is_not_shown(subject: Any) -> None:
    whole = subject.ask(QUESTION, max_tokens=24)
    middle = len(whole) // 2
    stop = whole[middle : middle + 4]
    request = subject.request(QUESTION, max_tokens=24, stop=("never said", stop))
    deltas = subject.run(request)[request.key]
    assert joined(deltas).rstrip() == whole[: whole.index(stop)].rstrip()
    assert deltas[-1].finish_reason == "stop"


def test_a_repeated_key_draws_the_same_tokens_and_other_draws_others(subject: Any) -> None:
    warm = {"temperature": 1.0, "max_tokens": 10}
    requests = [subject.request(QUESTION, draw=draw, **warm) for draw in range(4)]
    texts = [joined(subject.run(request)[request.key]) for request in requests]
    assert len(set(texts)) > 1
    assert joined(subject.run(requests[2])[requests[2].key]) == texts[2]


def test_top_k_of_one_is_greedy_at_any_temperature(subject: Any) -> None:
    if subject.name in ("scripted", "remote"):
        pytest.skip("nothing is sampled here")
    assert subject.ask(QUESTION, temperature=2.0, top_k=1) == subject.ask(QUESTION)
    assert subject.ask(QUESTION, temperature=2.0, top_p=1e-6) == subject.ask(QUESTION)


def _tokens(real: Any, *words: str) -> list[int]:
    tokenizer = real.engine.prompts.tokenizer(real.first)
    return [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]


def test_a_biased_token_is_said_and_an_unknown_one_refused(real: Any) -> None:
    (river,) = _tokens(real, " river")
    assert real.ask(QUESTION, logit_bias=((river, 100.0),), max_tokens=3).split() == ["river"] * 3
    request = real.request(QUESTION, logit_bias=((10**6, 1.0),))
    (delta,) = real.run(request)[request.key]
    assert delta.error
    assert "1000000" in str(delta.error)
    assert real.ask(QUESTION)


@pytest.mark.parametrize("penalty", [{"frequency_penalty": 2.0}, {"repetition_penalty": 2.0}], ids=str)
def test_a_penalty_lets_the_second_best_be_said(real: Any, penalty: dict[str, float]) -> None:
    river, stone = _tokens(real, " river", " stone")
    bias = ((river, 100.0), (stone, 75.0))
    assert real.ask(QUESTION, logit_bias=bias, max_tokens=24).split() == ["river"] * 24
    assert set(real.ask(QUESTION, logit_bias=bias, max_tokens=24, **penalty).split()) == {"river", "stone"}


def test_a_reply_has_its_fewest_tokens(real: Any) -> None:
    (river,) = _tokens(real, " river")
    wanted = {"logit_bias": ((river, 100.0),), "stop_token_ids": (river,), "max_tokens": 8}
    for fewest, tokens in ((0, 1), (4, 5)):
        request = real.request(QUESTION, min_tokens=fewest, **wanted)
        deltas = real.run(request)[request.key]
        assert (sum(delta.tokens for delta in deltas), deltas[-1].finish_reason) == (tokens, "stop")


def test_alternatives_that_a_grammar_forbids_have_log_probabilities_that_json_has(real: Any) -> None:
    request = real.request(QUESTION, logprobs=5, max_tokens=6, structured='{"choice": ["yes"]}')
    deltas = real.run(request)[request.key]
    assert joined(deltas) == "yes"
    tokens = [token for delta in deltas for token in delta.logprobs]
    assert tokens
    json.dumps([asdict(token) for token in tokens], allow_nan=False)


def test_a_reply_that_repeats_itself_is_cut(real: Any) -> None:
    (river,) = _tokens(real, " river")
    for repetition, tokens in ((None, 30), ((3, 1, 6), 6), ((3, 2, 6), 12)):
        request = real.request(QUESTION, logit_bias=((river, 100.0),), max_tokens=30, repetition=repetition)
        deltas = real.run(request)[request.key]
        assert (sum(delta.tokens for delta in deltas), deltas[-1].finish_reason) == (tokens, "length")


def test_a_least_probability_of_one_is_greedy(real: Any) -> None:
    assert real.ask(QUESTION, temperature=2.0, min_p=1.0) == real.ask(QUESTION)


def test_an_assistants_last_message_can_be_gone_on_with(real: Any) -> None:
    messages = (("user", "Count to five."), ("assistant", "One, two, three,"))
    prompts, sampling = real.engine.prompts, Sampling(continue_final=True)
    text = prompts.tokenizer(real.first).decode(prompts.ids(real.first, messages, sampling))
    assert text.endswith("One, two, three,")
    assert not prompts.tokenizer(real.first).decode(prompts.ids(real.first, messages)).endswith("three,")


def test_log_probabilities_come_with_each_token(anywhere: Any) -> None:
    request = anywhere.request(QUESTION, logprobs=3, max_tokens=6)
    deltas = anywhere.run(request)[request.key]
    tokens = [token for delta in deltas for token in delta.logprobs]
    assert len(tokens) == sum(delta.tokens for delta in deltas) == 6
    for token in tokens:
        assert token.logprob <= 0
        chances = [chance for _, chance in token.top]
        assert len(chances) == 3
        assert chances == sorted(chances, reverse=True)
        assert token.top[0] == (token.token, pytest.approx(token.logprob))
    assert "".join(token.token for token in tokens).strip() == joined(deltas).strip()
    none = anywhere.request(QUESTION, logprobs=0, max_tokens=2)
    bare = [token for delta in anywhere.run(none)[none.key] for token in delta.logprobs]
    assert [token.top for token in bare] == [(), ()]


def test_a_structured_choice_is_one_of_the_choices(subject: Any) -> None:
    choices = ["ginger", "saffron", "cardamom"]
    assert subject.ask("Which spice?", structured=json.dumps({"choice": choices})) in choices


def test_structured_json_keeps_to_its_schema(anywhere: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"size": {"enum": ["small", "large"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["size", "count"],
        "additionalProperties": False,
    }
    reply = json.loads(anywhere.ask("Describe a box.", structured=json.dumps({"json": schema}), max_tokens=60))
    assert set(reply) == {"size", "count"}
    assert reply["size"] in ("small", "large")
    assert isinstance(reply["count"], int)


def test_a_reply_keeps_to_a_grammar_and_a_faulty_one_fails_alone(real: Any) -> None:
    rules = 'root ::= herb ", " herb\nherb ::= "basil" | "thyme"'
    held, faulty = (
        real.request(QUESTION, structured=json.dumps({"grammar": text})) for text in (rules, "root ::= missing")
    )
    deltas = real.run(held, faulty)
    assert re.fullmatch("(basil|thyme), (basil|thyme)", joined(deltas[held.key]))
    assert isinstance(deltas[faulty.key][0].error, RequestError)


def test_others_go_on_while_a_grammar_is_compiled(real: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compiling, go_on = threading.Event(), threading.Event()

    def check(structured: str, tokenizer: str) -> None:
        compiling.set()
        assert go_on.wait(60)
        if "[x]" in structured:
            raise GrammarRefused("structured output: too much")

    monkeypatch.setattr(real.engine._pending.process, "check", check)
    held = real.request(QUESTION, structured=json.dumps({"choice": ["basil", "thyme"]}))
    refused = real.request(QUESTION, structured=json.dumps({"regex": "[x]{1,9}y"}))
    given_up = real.request(QUESTION, structured=json.dumps({"choice": ["mint", "dill"]}))
    for request in (held, refused, given_up):
        real.engine.add(request, real.first)
    assert compiling.wait(60)
    assert real.ask(QUESTION)  # from its first token to its last
    assert not go_on.is_set()
    with pytest.raises(RuntimeError, match="while requests are running"):
        real.engine.load(real.second)
    real.engine.abort(given_up.key)
    go_on.set()
    deltas = real.drain({held.key, refused.key})
    assert joined(deltas[held.key]) in ("basil", "thyme")
    assert isinstance(deltas[refused.key][0].error, RequestError)
    assert given_up.key not in deltas


def test_a_bad_request_fails_alone(anywhere: Any) -> None:
    good = anywhere.request(QUESTION)
    bad = [
        anywhere.request("word " * 700),
        anywhere.request(QUESTION, structured="{"),
        anywhere.request(QUESTION, structured='{"choice": []}'),
        anywhere.request(QUESTION, structured='{"regex": "("}'),
    ]
    deltas = anywhere.run(good, *bad)
    assert joined(deltas[good.key])
    for request in bad:
        (delta,) = deltas[request.key]
        assert delta.error
    assert isinstance(deltas[bad[0].key][0].error, PromptTooLong)
    assert isinstance(deltas[bad[1].key][0].error, RequestError)
    assert "response_format" in str(deltas[bad[1].key][0].error)


def test_another_expert_answers_after_load_and_the_first_again_after_the_next(anywhere: Any) -> None:
    # A long shared beginning: an engine that kept the other expert's prefix would give itself away.
    before = [anywhere.ask(LONG + question) for question in (QUESTION, "Which shelf is item 3 on?")]
    assert anywhere.engine.load(anywhere.second).expert == anywhere.second.name
    between = [anywhere.ask(LONG + question, anywhere.second) for question in (QUESTION, "Which shelf is item 3 on?")]
    assert anywhere.engine.load(anywhere.first).way in ("in_place", "start")
    after = [anywhere.ask(LONG + question) for question in (QUESTION, "Which shelf is item 3 on?")]
    assert between[0] != before[0]
    assert after == before


def test_loading_the_resident_expert_does_nothing(anywhere: Any) -> None:
    load = anywhere.engine.load(anywhere.first)
    assert (load.expert, load.way) == (anywhere.first.name, "resident")
    assert load.seconds < 0.05


def test_nothing_is_loaded_under_a_running_request(anywhere: Any) -> None:
    request = anywhere.request(QUESTION)
    anywhere.engine.add(request, anywhere.first)
    with pytest.raises(RuntimeError, match="running"):
        anywhere.engine.load(anywhere.second)
    assert joined(anywhere.drain({request.key})[request.key])


def test_a_request_for_an_expert_that_is_not_loaded_is_a_mistake(subject: Any) -> None:
    with pytest.raises(RuntimeError, match="not loaded"):
        subject.engine.add(subject.request(QUESTION, subject.second), subject.second)


def test_an_idle_engine_has_nothing_to_tell(subject: Any) -> None:
    assert subject.engine.step() == []
    assert subject.engine.capacity >= 2
    subject.engine.read_ahead(subject.second)


def plain(subject: Any, role: str, content: str, **sampling: Any) -> Any:
    """A request whose prompt is no chat."""
    request = subject.request("", max_tokens=2, **sampling) if "max_tokens" not in sampling else None
    request = request or subject.request("", **sampling)
    messages = ((role, content),)
    key = request_key(subject.first.fingerprint, messages, request.sampling)
    return replace(request, key=key, messages=messages)


def test_a_prompt_that_is_no_chat_is_repeated_with_the_probability_of_each_token(real: Any) -> None:
    import torch

    from orchestrator.inference.engines.prompts import Prompts
    from orchestrator.inference.engines.sources import Sources
    from orchestrator.inference.pretrained import load_model

    text = "The capital of France is Paris."
    ids = Prompts(Sources()).ids(real.first, ((PROMPT, text),))
    by_text = plain(real, PROMPT, text, echo=True, logprobs=2)
    by_ids = plain(real, PROMPT_IDS, json.dumps(ids), echo=True, logprobs=2)
    alone = plain(real, PROMPT, text, echo=True, logprobs=2, max_tokens=0)
    silent = plain(real, PROMPT, text)
    found = real.run(by_text, by_ids, alone, silent)
    assert joined(found[by_text.key]) == joined(found[by_ids.key]) == text + joined(found[silent.key])
    assert joined(found[alone.key]) == text
    tokens = [one for delta in found[by_text.key] for one in delta.logprobs]
    assert "".join(one.token for one in tokens[: len(ids)]) == text
    assert tokens[0].logprob == 0
    assert not tokens[0].top
    assert all(len(one.top) >= 2 and one.logprob < 0 for one in tokens[1 : len(ids)])
    only = [one for delta in found[alone.key] for one in delta.logprobs]
    assert [one.token for one in only] == [one.token for one in tokens[: len(ids)]]
    assert sum(delta.tokens for delta in found[alone.key]) == 0
    assert sum(d.tokens for d in found[by_ids.key]) == 2
    assert found[by_text.key][-1].prompt_tokens == len(ids)
    with torch.inference_mode():
        logits = load_model(real.first.weights.model)(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    places = range(1, len(ids))
    # In bfloat16 one processor's figure of a token may be a whole unit off another's; that of another place is more.
    off = [abs(tokens[place].logprob - float(logits[place - 1, ids[place]])) for place in places]
    shifted = [abs(tokens[place].logprob - float(logits[place - 2, ids[place - 1]])) for place in places if place > 1]
    assert sum(off) / len(off) < min(0.6, 0.3 * sum(shifted) / len(shifted)), (off, shifted)


def test_a_chats_prompt_is_told_token_by_token_as_its_echo_has_it(real: Any) -> None:
    from orchestrator.inference.engines.prompts import Prompts
    from orchestrator.inference.engines.sources import Sources

    asked, silent = real.request(QUESTION, prompt_logprobs=2), real.request(QUESTION)
    ids = Prompts(Sources()).ids(real.first, asked.messages)
    echoed = plain(real, PROMPT_IDS, json.dumps(ids), echo=True, logprobs=2, max_tokens=0)
    found = real.run(asked, silent, echoed)
    (told,) = [delta.prompt for delta in found[asked.key] if delta.prompt]
    assert joined(found[asked.key]) == joined(found[silent.key])
    assert not any(delta.prompt for delta in found[silent.key])
    assert told[0] == ()
    assert [place[0][0] for place in told[1:]] == ids[1:]
    scored = [one for delta in found[echoed.key] for one in delta.logprobs][1 : len(ids)]
    assert [place[0][1] for place in told[1:]] == [one.token for one in scored]
    off = [abs(place[0][2] - one.logprob) for place, one in zip(told[1:], scored, strict=True)]
    assert sum(off) / len(off) < 0.1
    for place in told[1:]:
        ranks = [rank for _, _, _, rank in place]
        assert {*ranks} == {1, 2, place[0][3]}
        assert len({*ranks}) == len(ranks) == len({id for id, _, _, _ in place})
        by_rank = sorted(place, key=lambda choice: choice[3])
        assert [choice[2] for choice in by_rank] == sorted((choice[2] for choice in by_rank), reverse=True)


def test_token_ids_that_the_model_does_not_have_are_refused_by_name(real: Any) -> None:
    for content, why in (("[]", "no tokens"), ("[99999999]", "99999999"), ("[-1]", "-1")):
        request = plain(real, PROMPT_IDS, content)
        (last,) = real.run(request)[request.key]
        assert isinstance(last.error, RequestError)
        assert why in str(last.error)


def test_an_engine_of_chats_refuses_other_prompts(subject: Any) -> None:
    request = plain(subject, PROMPT, "Once upon a time", echo=True)
    deltas = subject.run(request)[request.key]
    if subject.name == "remote":
        assert "prompt: a server elsewhere" in str(deltas[-1].error)
        chat = subject.request(QUESTION, prompt_logprobs=0)
        assert "prompt_logprobs: a server elsewhere" in str(subject.run(chat)[chat.key][-1].error)
    else:
        assert joined(deltas).startswith("Once upon a time")
