"""The one door to transformers' `from_pretrained`: local files only, and no Python from a model's folder.

`trust` runs the code that lies in the folder; only an expert's own `trust_remote_code` sets it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

UNREAD = (".attn.masked_bias",)
"""Ends of names of constants that old files hold (GPT-2) and no model reads."""


def load_tokenizer(folder: Path, trust: bool = False) -> Any:
    """The folder's tokenizer. Raises `OSError` or `ValueError` on one line, whatever its files are."""
    from transformers import AutoTokenizer

    return _one_line(AutoTokenizer.from_pretrained, folder, local_files_only=True, trust_remote_code=trust)


def load_config(folder: Path, trust: bool = False) -> Any:
    """The folder's configuration. Raises as `load_tokenizer`."""
    from transformers import AutoConfig

    import merging.gated_model  # noqa: F401 - so that the auto classes know our own mixtures

    return _one_line(AutoConfig.from_pretrained, folder, local_files_only=True, trust_remote_code=trust)


def load_model(folder: Path, trust: bool = False, state: dict[str, Any] | None = None, **options: Any) -> Any:
    """The folder's causal language model, from its files or from `state` (name -> tensor, as the files would have).

    Raises `ValueError` naming a tensor that is missing, left over or of another shape: such a model would answer with
    random numbers in its place.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    # What does not fit is listed, not loaded: below it is an error with its name.
    options = {"local_files_only": True, "output_loading_info": True, "ignore_mismatched_sizes": True, **options}
    options["trust_remote_code"] = trust
    if _caps_attention(folder, trust):
        options.setdefault("attn_implementation", "eager")
    if state is None:
        model, found = _one_line(AutoModelForCausalLM.from_pretrained, folder, **options)
    else:
        config = load_config(folder, trust)
        if getattr(config, "quantization_config", None) is not None:  # what is given is not packed any more
            del config.quantization_config
        options = {key: value for key, value in options.items() if key != "trust_remote_code"}
        kind = AutoModelForCausalLM._model_mapping[type(config)]
        model, found = _one_line(kind.from_pretrained, None, config=config, state_dict=state, **options)
    for what in ("missing_keys", "mismatched_keys", "unexpected_keys", "error_msgs"):
        if names := sorted(str(name) for name in found.get(what) or () if not str(name).endswith(UNREAD)):
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ValueError(
                f"{folder}: {what.replace('_', ' ')}: {names[0]}{more}: not the files of this architecture"
            )
    return model.eval()


def _caps_attention(folder: Path, trust: bool) -> bool:
    """The model caps the logits of its attention (Gemma 2), which transformers' default attention leaves out without a
    word."""
    config = load_config(folder, trust)
    return any(getattr(part, "attn_logit_softcapping", None) is not None for part in (config, config.get_text_config()))


def _one_line(call: Any, folder: Any, **options: Any) -> Any:
    try:
        return call(folder, **options)
    except Exception as error:  # libraries raise whatever a strange file leads them to
        message = " ".join(str(error).split())[:400]
        if "custom code" in message:
            message = "it is computed by Python of its own: read that, then set experts.NAME.trust_remote_code"
        raise ValueError(
            f"{folder or options.get('config').__class__.__name__}: {type(error).__name__}: {message}"
        ) from error
