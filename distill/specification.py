"""All that decides a training, but for its lessons."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Tracker = Literal["tensorboard", "wandb", "mlflow"]


class TrainingSpec(BaseModel):
    """How a student is trained. Defaults suit a small student and LoRA."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    student: str = Field(min_length=1, description="Checkpoint folder that the student starts from.")
    method: Literal["lora", "full"] = Field(default="lora", description="lora: an adapter; full: all weights.")
    rank: int = Field(default=8, ge=1, le=1_024, description="LoRA: rank.")
    alpha: float = Field(default=16.0, gt=0, description="LoRA: alpha (scale times rank).")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="LoRA: dropout.")
    targets: list[str] = Field(
        default_factory=list, description="LoRA: modules, such as q_proj,v_proj (default: all linear ones)."
    )
    learning_rate: float = Field(
        default=2e-3, gt=0, description="Peak learning rate; 5% linear warm-up, then cosine decay."
    )
    clip: float = Field(default=1.0, gt=0, description="Maximum norm of the gradient.")
    weight_decay: float = Field(default=0.0, ge=0, description="Weight decay of AdamW.")
    tokens: int = Field(
        default=60_000, ge=1, description="Training tokens in all, each counted as often as it is read."
    )
    step_tokens: int = Field(default=1_500, ge=1, description="Tokens per optimiser step.")
    batch_tokens: int = Field(default=2_048, ge=1, description="Tokens per forward pass, padding included.")
    next_token_weight: float = Field(default=1.0, ge=0, description="Weight of the next-token loss.")
    node_weight: float = Field(
        default=0.1, ge=0, description="Weight of the graph's node classification loss (the paper's: 1)."
    )
    margin_weight: float = Field(default=0.1, ge=0, description="Weight of the margin loss.")
    coupling: Literal["live", "detached"] = Field(
        default="live", description="live: the graph's loss reaches the student; detached: it does not."
    )
    encoder_width: int = Field(default=512, ge=1, le=16_384, description="Width of the graph encoder.")
    encoder_dropout: float = Field(default=0.5, ge=0, lt=1, description="Dropout of the graph encoder.")
    prompts_too: bool = Field(default=False, description="Also compute the next-token loss on prompt tokens.")
    precision: Literal["bf16", "fp32"] = Field(default="bf16", description="Arithmetic of the student.")
    gradient_checkpointing: bool = Field(default=False, description="Recompute activations to save memory.")
    validation: float = Field(default=0.0, ge=0, le=0.5, description="Share of questions held out for validation.")
    evaluate_every: int = Field(default=10, ge=1, description="Steps between validations.")
    validation_questions: int = Field(default=32, ge=1, description="Held-out questions per validation.")
    patience: int = Field(default=0, ge=0, description="Validations without gain before training stops; 0: never.")
    checkpoint_every: int = Field(default=10, ge=1, description="Steps between checkpoints.")
    trackers: list[Tracker] = Field(default_factory=list, description="tensorboard; wandb or mlflow where installed.")
    seed: int = Field(default=0, ge=0, description="Seed of order, initial factors and dropout.")

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return -(-self.tokens // self.step_tokens)
