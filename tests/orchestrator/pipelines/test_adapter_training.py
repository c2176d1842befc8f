"""Training on a Llama of two tiny layers, with a byte-level tokenizer made on the spot."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import tiny_llama

from agents.answers import equal
from agents.reply import parse_keywords, parse_reply
from orchestrator.errors import ConfigError
from orchestrator.pipelines import adapter_training, llama_lora, training_examples
from orchestrator.pipelines.adapter_training import TrainingSpec, train
from orchestrator.pipelines.llama_lora import LlamaLora
from orchestrator.pipelines.training_examples import Portions, examples

FEW = Portions(solve=12, attempt=6, reconsider=4, follow=6, keywords=4)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling takes a minute; the compiled passes are compared with these in a soak test."""
    monkeypatch.setattr(llama_lora, "_can_compile", lambda: False)
    llama_lora._operations.cache_clear()


def spec(base: Path, **changes: Any) -> TrainingSpec:
    settings = {"name": "tiny", "base": str(base), "tasks": ("coin_flip",), "portions": FEW, "rank": 4, "batch": 4}
    return TrainingSpec.model_validate(settings | changes)


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()


def test_training_lowers_the_loss_and_writes_an_adapter_that_peft_reads(tiny: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    losses: list[float] = []
    last = train(spec(tiny, epochs=8, learning_rate=1e-2), tmp_path / "out", lambda p: losses.append(p.loss))
    assert (last.step, last.steps, len(losses)) == (64, 64, 64)
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert TrainingSpec.read(tmp_path / "out" / "training.json").epochs == 8

    plain = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    ids = torch.arange(20)[None]
    before = plain(ids).logits
    adapted = PeftModel.from_pretrained(plain, str(tmp_path / "out"))
    after = adapted(ids).logits
    assert (after - before).abs().max() > 0.1
    dtypes = {parameter.dtype for name, parameter in adapted.named_parameters() if "lora" in name}
    assert len(dtypes) == 1


def test_the_same_seed_trains_the_same_adapter_and_another_seed_another(tiny: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(spec(tiny, seed=seed), tmp_path / name)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


def reference(tiny: Path, network: LlamaLora, prefix: Any, ids: Any, taught: Any) -> tuple[float, list[Any]]:
    """Loss and gradients by transformers in float32, with plain autograd through base + scale B A."""
    import torch
    from torch.nn import functional
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    factors = []
    for (_, _, linears), layer in zip(network.layers, plain.model.layers, strict=True):
        for name, linear in linears.items():
            module = getattr(layer.self_attn, name, None) or getattr(layer.mlp, name)
            a, b = linear.a.detach().clone().requires_grad_(), linear.b.detach().clone().requires_grad_()
            factors += [a, b]
            weight = module.weight.detach()
            module.forward = lambda x, w=weight, a=a, b=b: functional.linear(x, w + network.scale * b @ a)
    whole = torch.cat((prefix.expand(len(ids), -1), ids), 1)
    logits = plain(whole).logits[:, len(prefix) : -1][taught[:, 1:]]
    loss = functional.cross_entropy(logits, ids[:, 1:][taught[:, 1:]])
    loss.backward()
    return loss.item(), [factor.grad for factor in factors]


def batch(network: LlamaLora) -> tuple[Any, Any, Any]:
    import torch

    generator = torch.Generator().manual_seed(5)
    for factor in network.factors:
        factor.data.add_(torch.randn(factor.shape, generator=generator) * 0.05)
    network.merge()
    prefix, ids = torch.randint(0, 250, (7,), generator=generator), torch.randint(0, 250, (3, 150), generator=generator)
    return prefix, ids, torch.rand(3, 150, generator=generator) > 0.4


def test_loss_and_gradients_are_those_of_transformers(tiny: Path) -> None:
    import torch

    network = LlamaLora(tiny, 4, 8.0, 0)
    prefix, ids, taught = batch(network)
    loss = network.loss(prefix, ids, taught)
    loss.backward()
    expected, gradients = reference(tiny, network, prefix, ids, taught)
    assert loss.item() == pytest.approx(expected, rel=5e-3)
    for factor, gradient in zip(network.factors, gradients, strict=True):
        assert factor.grad is not None
        assert torch.cosine_similarity(factor.grad.flatten(), gradient.flatten(), 0) > 0.97
        assert factor.grad.norm() == pytest.approx(gradient.norm().item(), rel=0.1)


@pytest.mark.soak
def test_compiled_passes_agree_with_plain_ones(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = LlamaLora(tiny, 4, 8.0, 0)
    prefix, ids, taught = batch(plain)
    expected = plain.loss(prefix, ids, taught).item()
    monkeypatch.undo()
    llama_lora._operations.cache_clear()
    compiled = LlamaLora(tiny, 4, 8.0, 0)
    batch(compiled)
    assert compiled.loss(prefix, ids, taught).item() == pytest.approx(expected, rel=2e-3)


def test_examples_have_every_format_in_its_number() -> None:
    made = examples(("dates",), Portions(solve=30, attempt=20, reconsider=10, follow=20, keywords=16), seed=3)
    assert len(made) == 96
    replies = ["".join(piece for piece, _ in example.reply) for example in made]
    assert sum("Confidence: 0.9" in reply for reply in replies) == 40
    assert sum("Confidence: 0.2" in reply for reply in replies) == 20
    assert sum("Confidence: 0.5" in reply for reply in replies) == 20
    assert sum(bool(parse_keywords(reply)) for reply in replies) == 16
    assert made == examples(("dates",), Portions(solve=30, attempt=20, reconsider=10, follow=20, keywords=16), seed=3)


def test_the_answer_to_a_foreign_question_is_not_taught() -> None:
    only = {"solve": 0, "attempt": 0, "reconsider": 0, "follow": 0, "keywords": 0}
    for example in examples(("dates",), Portions(**only | {"attempt": 16}), seed=0):
        assert [taught for _, taught in example.reply] == [True, True, False, True]
    for example in examples(("dates",), Portions(**only | {"solve": 16}), seed=0):
        assert all(taught for _, taught in example.reply)


def test_worked_replies_are_right_and_the_careless_ones_are_wrong() -> None:
    from orchestrator.evaluation.tasks.registry import GENERATED

    portions = Portions(solve=40, attempt=0, reconsider=0, follow=0, keywords=0)
    for wrong in (False, True):
        made = examples([task.name for task in GENERATED], portions, seed=0, wrong=wrong)
        drawn = {p.question.question: p.question for task in GENERATED for p in task.problems("train", 5, 0)}
        for example in made:
            asked = next(q for text, q in drawn.items() if example.messages[0]["content"].startswith(text))
            reply = parse_reply("".join(piece for piece, _ in example.reply), asked)
            assert equal(reply.answer, asked.answer, asked.kind, asked.choices) is not wrong


def test_loss_falls_on_the_taught_tokens_and_the_end_of_turn(tiny: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    reply = (("Hm.", True), ("\nAnswer:", True), (" 42", False), ("\nConfidence: 0.2", True))
    example = training_examples.Example(messages=[{"role": "user", "content": "Why?"}], reply=reply)
    sequence = adapter_training._tokenised(example, tokenizer)
    taught = [token for token, mark in zip(sequence.ids, sequence.taught, strict=True) if mark]
    assert tokenizer.decode(taught) == "Hm.\nAnswer:\nConfidence: 0.2</s>"
    assert tokenizer.decode(sequence.ids) == "<s>user: Why?</s><s>assistant: Hm.\nAnswer: 42\nConfidence: 0.2</s>"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            '{"name": "x", "tasks": ["datez"]}',
            r"training.json: tasks: .*unknown task 'datez'; generated tasks are arith",
        ),
        ('{"name": "x", "tasks": ["dates"], "ranks": 4}', r"training.json: ranks: "),
        ('{"name": "x", "tasks": ["dates"], "portions": {"solve": -1}}', r"training.json: portions.solve: "),
        ('{"name": "../x", "tasks": ["dates"]}', r"training.json: name: "),
        ("{", r"training.json: \(whole file\): "),
    ],
)
def test_a_bad_specification_is_refused_with_file_and_key(tmp_path: Path, body: str, message: str) -> None:
    path = tmp_path / "training.json"
    path.write_text(body)
    with pytest.raises(ConfigError, match=message):
        TrainingSpec.read(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        TrainingSpec.read(tmp_path / "gone.json")


def test_a_base_of_another_architecture_is_refused(tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in tiny.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    config = json.loads((other / "config.json").read_text()) | {"attention_bias": True}
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"'tiny': .*without biases"):
        train(spec(other), tmp_path / "out")
    assert not (tmp_path / "out").exists()
