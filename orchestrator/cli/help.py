"""What help says beyond each option's own words: sections of commands, groups of options, examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

SECTIONS: Mapping[str, Sequence[str]] = {
    "The first hour": ("init", "doctor", "chat", "demo", "setup"),
    "Experts": ("experts",),
    "Measure and compare": ("task", "profile", "run", "report"),
    "Routing": ("route", "eval-router", "prune", "table"),
    "Discussions": ("convincing", "transcripts"),
    "Make new experts": ("cluster", "glue", "gather", "merge", "generate", "teach", "distill"),
    "Serve": ("serve", "keys", "submit"),
    "Shell": ("completion",),
}
"""Section -> its commands, in order of use."""

_GROUPS: Mapping[str, str] = {
    "Questions": "task columns split questions fit_split fit_questions select_split select_questions other_task table "
    "test_questions fit train_split test_split transcripts texts question skills",
    "Who answers, and how": "methods experts discussion panel_experts max_tokens temperature logprobs preset recruit "
    "calls router routers skills_from keyword_expert keyword_runs aggregator k",
    "Accuracy against cost": "quality spend costs budget compare",
    "Discussions": "panel lead rounds panel_rounds samples mode confidence topology threshold max_explanation "
    "per_group structured convincing talk_questions",
    "Scoring and judging": "score metrics judge judge_against judge_labels",
    "Lessons": "level teacher write agreement longest_reply longest_question bare_answers own_replies arms seeds "
    "ablate",
    "Student and training": "student name method rank alpha dropout targets learning_rate epochs batch clip "
    "weight_decay tokens step_tokens batch_tokens next_token_weight node_weight margin_weight coupling "
    "encoder_width encoder_dropout prompts_too precision gradient_checkpointing validation "
    "evaluate_every validation_questions patience checkpoint_every trackers merged workers add",
    "Pruning and unlearning": "keep max_loss retire forget floor",
    "Merging": "by base way groups heuristic trials sample min_gain ffn_questions mixture_form "
    "dense_layers full_merging threads device shard_size allow_nan allow_bin extract_lora tokens_from only_plan",
    "As in mergekit": "allow_crimes copy_tokenizer lazy_unpickle low_cpu_memory clone_tensors trust_remote_code "
    "read_to_gpu multi_gpu write_model_card safe_serialization async_write quiet unsafe_truncate_embeddings cuda "
    "transformers_cache lora_merge_cache lora_merge_dtype write_threads out_shard_size gpu_rich random_seed "
    "num_threads verbosity",
}
LAST = "Run, configuration and output"
COMMON: Sequence[str] = ("seed", "fresh", "out", "html", "save", "saved", "config", "overrides", "as_json")
_OTHERWISE = {
    ("merge", "rank"): "Merging",
    ("grow", "base"): "Student and training",
    ("grow", "samples"): "Lessons",
    ("grow", "temperature"): "Lessons",
    ("grow", "validation_questions"): "Questions",
}
"""(command, option) -> its group, where the name means something else elsewhere."""
MANY = 12
"""Options from which on they stand in groups."""

EXAMPLES: Mapping[str, Sequence[str]] = {
    "init": ("init", "init --yes --url http://localhost:8080/v1 --folder ~/models"),
    "doctor": ("doctor", "doctor --json"),
    "chat": (
        "chat",
        "chat --attach http://localhost:8000 --model mixture",
        "chat --model base 'What is gravity?'",
    ),
    "experts list": ("experts list",),
    "experts add": (
        "experts add writer --model ./my-llama",
        "experts add poet --model ./my-llama --adapter ./poet-lora",
        "experts add mini --provider openai --model gpt-5-mini",
        "experts add big --url http://localhost:8080/v1 --discover",
    ),
    "experts check": ("experts check", "experts check writer --no-reference"),
    "experts grow": (
        "experts grow sums=arithmetic",
        "experts grow law=questions.csv --teacher big --base ./my-llama",
        "experts grow handbook=./documents --teacher big --questions 300",
    ),
    "experts train": ("experts train coins --spec coins.yaml",),
    "task": ("task questions.csv", "task questions.csv --columns question=prompt,answer=target"),
    "profile": ("profile --task questions.csv --questions 500",),
    "run": (
        "run --task questions.csv",
        "run --task questions.csv --methods best,vote,mixture --questions 500",
        "run --task questions.csv --methods reconcile --compare --budget 3000000",
    ),
    "report": ("report run-1a2b3c", "report run-1a2b3c run-4d5e6f --out comparison.html"),
    "route": ("route -q 'Is 91 prime?'", "route -q 'Is 91 prime?' --table table.jsonl --quality 0.7"),
    "eval-router": ("eval-router table.jsonl --html routers.html",),
    "prune": (
        "prune test.jsonl --fit validation.jsonl --max-loss 0.01 --out smaller.yaml",
        "prune test.jsonl --fit validation.jsonl --forget spelling",
    ),
    "table import": ("table import routerbench.csv",),
    "table export": ("table export table.jsonl table.csv",),
    "convincing": (
        "convincing --task mixed --out convincing.jsonl",
        "convincing --task questions.csv --columns solution=rationale --out convincing.jsonl",
    ),
    "transcripts": ("transcripts runs/run-1a2b3c/transcripts.jsonl.gz",),
    "cluster": ("cluster", "cluster --threshold 0.9"),
    "glue": ("glue --task questions.csv --out glued.yaml",),
    "gather": ("gather ./my-llama texts.txt moments.safetensors",),
    "merge": ("merge config.yml ./merged",),
    "generate": ("generate --task questions.csv",),
    "teach": ("teach --transcripts transcripts.jsonl.gz --name pupil",),
    "distill inspect": ("distill inspect transcripts.jsonl.gz",),
    "distill": ("distill --transcripts transcripts.jsonl.gz --arms L1,on-policy",),
    "serve": ("serve", "serve --port 8080 --config collegium.yaml"),
    "keys create": ("keys create alice",),
    "keys usage": ("keys usage",),
    "submit": ("submit --address http://127.0.0.1:8265 -- run --task mixed --methods best,mixture",),
    "completion": ("completion bash >> ~/.bashrc",),
}
"""Command -> lines that can be typed, behind `collegium`."""


def group_of(name: str, command: str = "") -> str | None:
    """The group of an option, by its parameter's name; None: it has none."""
    if (command, name) in _OTHERWISE:
        return _OTHERWISE[command, name]
    if name in COMMON or name.startswith("_"):  # click's own --help
        return LAST
    return next((title for title, names in _GROUPS.items() if name in names.split()), None)


class OptionsInGroups(click.Command):
    """Displays many options in groups, in order of use; few stay one list."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups."""
        records: dict[str, list[tuple[str, str]]] = {title: [] for title in ("Arguments", *_GROUPS, "Options", LAST)}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                title = group_of(parameter.name or "", self.name or "") or "Options"
                records[title if isinstance(parameter, click.Option) else "Arguments"].append(record)
        if sum(map(len, records.values())) <= MANY:
            super().format_options(ctx, formatter)
            return
        for title, own in records.items():
            if own:
                with formatter.section(title):
                    formatter.write_dl(own)


def with_examples(command: click.Command, path: str) -> click.Command:
    """The command, and those below it, with their examples under their help."""
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            with_examples(below, f"{path} {name}")
    if path in EXAMPLES:
        command.epilog = "\b\nExamples:\n" + "\n".join(f"  collegium {line}" for line in EXAMPLES[path])
    return command
