"""Vision-language models merged by tower: they load in transformers with their processor, and speak about an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_decoders import linear, stacked

from merging.merge import merge
from merging.recipe_file import parse

SMALL: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
TEXT = {**SMALL, "num_key_value_heads": 2, "vocab_size": 96, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
SIGHT = {**SMALL, "num_hidden_layers": 2, "image_size": 32, "patch_size": 8}
IMAGE = 10


def llava() -> Any:
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    text = {**TEXT, "model_type": "llama"}
    sight = {**SIGHT, "model_type": "clip_vision_model"}
    config = LlavaConfig(
        text_config=text, vision_config=sight, image_token_index=90, vision_feature_select_strategy="default"
    )
    return LlavaForConditionalGeneration(config)


def gemma3() -> Any:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    text = {**TEXT, "head_dim": 8, "sliding_window": 16, "model_type": "gemma3_text"}
    sight = {**SIGHT, "model_type": "siglip_vision_model"}
    tokens = {"image_token_index": IMAGE, "boi_token_index": 11, "eoi_token_index": 12}
    return Gemma3ForConditionalGeneration(
        Gemma3Config(text_config=text, vision_config=sight, mm_tokens_per_image=4, **tokens)
    )


def qwen2_vl() -> Any:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    rope = {"type": "mrope", "mrope_section": [1, 1, 2]}
    sight = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "patch_size": 4, "mlp_ratio": 2}
    tokens = {"image_token_id": IMAGE, "video_token_id": 11, "vision_start_token_id": 12, "vision_end_token_id": 13}
    text = {**TEXT, "rope_scaling": rope, "model_type": "qwen2_vl_text"}
    return Qwen2VLForConditionalGeneration(Qwen2VLConfig(text_config=text, vision_config=sight, **tokens))


def processor(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPImageProcessor, LlavaProcessor, PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", "<pad>", *(f"w{number}" for number in range(4, 90))]
    raw = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    made = LlavaProcessor(
        images, tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    made.save_pretrained(folder)


def saved(folder: Path, build: Callable[[], Any], seed: int) -> Path:
    import torch

    torch.manual_seed(seed)
    model = build().float()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    if build is llava:
        processor(folder)
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[], Any]], tuple[Path, Path]]:
    made: dict[str, tuple[Path, Path]] = {}

    def pair(build: Callable[[], Any]) -> tuple[Path, Path]:
        if build.__name__ not in made:
            top = tmp_path_factory.mktemp(build.__name__)
            made[build.__name__] = saved(top / "a", build, 1), saved(top / "b", build, 2)
        return made[build.__name__]

    return pair


def loaded(folder: Path, build: Callable[[], Any]) -> Any:
    """By its own class; nothing missing, unexpected or mismatched."""
    cls = {"llava": "Llava", "gemma3": "Gemma3", "qwen2_vl": "Qwen2VL"}[build.__name__] + "ForConditionalGeneration"
    import transformers

    model, info = getattr(transformers, cls).from_pretrained(folder, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model.eval()


def spoken(model: Any, folder: Path, build: Callable[[], Any]) -> list[int]:
    """Six greedy tokens about one image."""
    import torch

    pixels = np.random.default_rng(0)
    if build is llava:
        from PIL import Image
        from transformers import AutoProcessor

        image = Image.fromarray(pixels.integers(0, 255, (40, 50, 3), dtype=np.uint8))
        inputs = dict(AutoProcessor.from_pretrained(folder)(text="w5 <image> w6", images=image, return_tensors="pt"))
    elif build is gemma3:
        ids = torch.tensor([[1, 5, 11, *[IMAGE] * 4, 12, 6]])
        inputs = {"input_ids": ids, "pixel_values": torch.tensor(pixels.normal(size=(1, 3, 32, 32))).float()}
    else:
        ids = torch.tensor([[1, 5, 12, *[IMAGE] * 4, 13, 6]])
        inputs = {"input_ids": ids, "pixel_values": torch.tensor(pixels.normal(size=(16, 96))).float()}
        inputs |= {"image_grid_thw": torch.tensor([[1, 4, 4]]), "mm_token_type_ids": (ids == IMAGE).int()}
    with torch.no_grad():
        made = model.generate(**inputs, max_new_tokens=6, min_new_tokens=6, do_sample=False)
    return [int(token) for token in made[0, -6:]]


def sight(name: str) -> bool:
    """In the vision tower, or between it and the text."""
    return any(word in name for word in ("vision", "visual", "projector"))


def mean(folders: tuple[Path, Path], build: Callable[[], Any], text_only: bool = False) -> Any:
    """The reference: torch averages all parameters, or those of the text."""
    import torch

    first, second = (loaded(folder, build) for folder in folders)
    other = dict(second.named_parameters())
    with torch.no_grad():
        for name, parameter in first.named_parameters():
            if not (text_only and sight(name)):
                parameter.copy_((parameter + other[name]) / 2)
    return first


@pytest.mark.parametrize("build", [llava, gemma3, qwen2_vl])
def test_a_merge_of_all_towers_speaks_as_the_mean_of_both(
    pairs: Callable[..., tuple[Path, Path]], build: Callable[[], Any], tmp_path: Path
) -> None:
    folders = pairs(build)
    merge(parse(linear(*folders)), tmp_path / "out")
    wanted = spoken(mean(folders, build), folders[0], build)
    assert spoken(loaded(tmp_path / "out", build), tmp_path / "out", build) == wanted
    assert wanted != spoken(loaded(folders[0], build), folders[0], build)


@pytest.mark.parametrize("build", [llava, gemma3, qwen2_vl])
def test_a_text_part_merged_alone_keeps_the_first_models_sight(
    pairs: Callable[..., tuple[Path, Path]], build: Callable[[], Any], tmp_path: Path
) -> None:
    import torch

    folders = pairs(build)
    raw = {"merge_method": "linear", "dtype": "float32"}
    merge(parse({**raw, "modules": {"text_decoder": {"models": linear(*folders)["models"]}}}), tmp_path / "out")
    model, reference = loaded(tmp_path / "out", build), mean(folders, build, text_only=True)
    found = dict(model.named_parameters())
    for name, value in reference.named_parameters():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=0 if sight(name) else 1e-6)
    assert spoken(model, tmp_path / "out", build) == spoken(reference, folders[0], build)


def test_a_text_model_is_merged_into_the_decoder(pairs: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    first, _ = pairs(llava)
    alone = saved(tmp_path / "text", lambda: LlamaForCausalLM(LlamaConfig(**TEXT)), 3)
    result = merge(parse(linear(first, alone)), tmp_path / "out")
    assert any("vision_tower" in note and "the others have no such part" in note for note in result.notes)
    model, seeing = loaded(tmp_path / "out", llava), loaded(first, llava)
    text = LlamaForCausalLM.from_pretrained(alone)
    found, own = dict(model.named_parameters()), dict(seeing.named_parameters())
    for name, value in text.model.named_parameters():
        full = f"model.language_model.{name}"
        torch.testing.assert_close(found[full], (value + own[full]) / 2, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["lm_head.weight"], (text.lm_head.weight + own["lm_head.weight"]) / 2)
    assert all(torch.equal(value, found[name]) for name, value in own.items() if sight(name))
    assert len(spoken(model, tmp_path / "out", llava)) == 6


@pytest.mark.parametrize("build", [llava, gemma3, qwen2_vl])
def test_a_stack_of_text_layers_speaks_about_an_image(
    pairs: Callable[..., tuple[Path, Path]], build: Callable[[], Any], tmp_path: Path
) -> None:
    a, b = pairs(build)
    raw = {"merge_method": "passthrough", "modules": {"text_decoder": {"slices": stacked((a, 0, 2), (b, 0, 3))}}}
    merge(parse(raw), tmp_path / "out")
    model = loaded(tmp_path / "out", build)
    assert model.config.text_config.num_hidden_layers == 5
    assert len(spoken(model, tmp_path / "out", build)) == 6
