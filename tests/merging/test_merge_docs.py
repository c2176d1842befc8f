"""The page about merging names every method, its address and its parameters."""

from __future__ import annotations

from pathlib import Path

from merging.methods import METHODS

PAGE = (Path(__file__).parents[2] / "docs" / "merging.md").read_text("utf-8")


def test_every_method_is_on_the_page() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    for method in METHODS:
        assert any(method.name in row.split("|")[1].replace(",", " ").split() for row in rows), method.name
        assert "http" in method.paper
        for parameter in method.parameters:
            assert parameter.name in PAGE or parameter.name == "int8_mask", parameter.name


def test_the_methods_that_a_device_can_do_are_on_the_page() -> None:
    listed = PAGE.split("on a GPU through torch:")[1].split(". The")[0]
    assert set(listed.replace(" and ", ", ").replace("\n", " ").replace(" ", "").split(",")) == {
        method.name for method in METHODS if method.device
    }


TRIED = {
    "`mergekit-yaml config.yml out`": "test_a_published_recipe_loads_and_generates",
    "`--cuda`": "test_every_option_of_mergekits_is_done_or_explained",
    "`--copy-tokenizer`": ("test_every_option_of_mergekits_is_done_or_explained"),
    "architectures from a list": "test_a_recipe_is_its_formula",
    "`modules:`": "test_a_text_part_merged_alone_keeps_the_first_models_sight",
    "slices without `modules:`": "test_a_slice_of_a_model_of_two_towers_names_its_tower",
    "tensors that one model lacks": "test_every_stored_tensor_is_used_or_named",
    "configurations that disagree": "test_weights_cut_into_other_heads_are_refused",
    "layers that config.json lists": "test_what_is_said_by_a_layers_number_follows_it",
    "GPT-2's old names": "test_a_bias_is_no_mask_and_a_hub_name_is_the_same_as_todays",
    "quantised sources": "test_two_quantised_models_are_merged_as_numbers",
    "LoRA through PEFT": "test_an_adapter_is_what_peft_makes_of_it",
    "`.bin` files": "test_pickles_are_read_only_where_that_is_allowed",
    "`tokenizer_source`": "test_whatever_has_the_vocabularys_length_is_aligned",
    "`chat_template` by name": "test_a_chat_template_by_name_renders",
    "`mergekit-multi`": "test_several_documents_are_the_same_as_writing_each",
    "`mergekit-moe`": "test_a_moe_file_becomes_a_mixture",
    "`mergekit-extract-lora`": "test_an_extracted_adapter_gives_the_model_back",
    "`mergekit-tokensurgeon`": "test_a_model_takes_another_ones_tokens",
    "`ram`, `ramplus_tl`": "test_a_method_is_its_formula_within_one_rounding",
}
"""How each row of "mergekit does, we do" begins -> the test that tries it."""


def test_every_row_of_the_first_table_is_tried() -> None:
    table = PAGE.split("| mergekit does | we do |")[1].split("\n\n")[0]
    rows = [line.removeprefix("| ") for line in table.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) == len(TRIED)
    tests = "".join(file.read_text("utf-8") for file in Path(__file__).parents[1].rglob("test_*.py"))
    for begin, test in TRIED.items():
        assert sum(row.startswith(begin) for row in rows) == 1, begin
        assert f"def {test}(" in tests, test
