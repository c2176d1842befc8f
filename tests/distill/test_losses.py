"""Losses and gradients: equal to separate sequences, exact under any cut; whether the graph's reaches the student."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scripts.small_students import Discuss, network, rows, taught


@pytest.mark.parametrize(("coupling", "reaches"), [("live", True), ("detached", False)])
def test_the_graphs_loss_reaches_the_students_lora_weights_only_when_live(
    tiny: Path, discuss: Discuss, coupling: str, reaches: bool
) -> None:
    from distill.rows import batched

    made = network(tiny, coupling=coupling)
    found = made.losses(batched(rows(made, taught(discuss()))))
    assert found.node.item() > 0
    if reaches:
        found.node.backward()
    else:
        found.node.backward(inputs=list(made.encoder.parameters()))
    student = {name: each for name, each in made.trainable().items() if "lora" in name}
    assert len(student) == 28
    moved = sum(float(each.grad.abs().sum()) for each in student.values() if each.grad is not None)
    assert (moved > 0) is reaches
    assert not reaches or all(each.grad is not None for each in student.values())
    assert all(float(each.grad.abs().sum()) > 0 for name, each in made.trainable().items() if "encoder.first" in name)


def test_detached_features_have_no_path_to_the_student_at_all(tiny: Path, discuss: Discuss) -> None:
    import torch

    from distill.rows import batched

    made = network(tiny, coupling="detached")
    found = made.losses(batched(rows(made, taught(discuss()))))
    student = [each for name, each in made.trainable().items() if "lora" in name]
    gradients = torch.autograd.grad(found.node, student, allow_unused=True)
    assert gradients == (None,) * len(student)


def test_a_row_computes_what_separate_sequences_would(tiny: Path, discuss: Discuss) -> None:
    import torch
    from torch.nn import functional

    from distill.rows import batched

    made = network(tiny)
    both = rows(made, taught(discuss(0)), taught(discuss(1, [["Four threes.\nAnswer: 12", "Answer: 9"]])))
    found = made.losses(batched(both))
    total, vectors = 0.0, []
    for row in both:
        for place, reply in enumerate(row.replies):
            ids = torch.tensor([row.prompt + reply])
            out = made.model(input_ids=ids, output_hidden_states=True)
            weights = torch.arange(1, ids.shape[1] + 1).float()
            vectors.append((weights[:, None] * out.hidden_states[-1][0]).sum(0) / weights.sum())
            if place in row.lesson.taught:
                logits = out.logits[0, len(row.prompt) - 1 : -1]
                total += functional.cross_entropy(logits, torch.tensor(reply), reduction="sum").item()
    assert found.next_token.item() == pytest.approx(total, rel=1e-4)
    batch = batched(both)
    apart = [part - part.mean(0) for part in torch.stack(vectors).split([len(row.replies) for row in both])]
    scores = made.encoder.score(torch.cat(apart))
    wanted = sum(max(0.0, 1 - (scores[a] - scores[b]).item()) for a, b in batch.pairs.tolist())
    assert found.margin.item() == pytest.approx(wanted, rel=1e-4)


def test_what_all_replies_have_in_common_does_not_silence_the_margin(tiny: Path, discuss: Discuss) -> None:
    """States of real models are large in a few places; the score's tanh would have no gradient there."""
    import torch

    from distill.losses import losses
    from distill.rows import batched

    made = network(tiny)
    batch = batched(rows(made, taught(discuss())))
    width = made.encoder.score_first.in_features
    torch.manual_seed(0)
    hidden = torch.randn(*batch.ids.shape, width)
    hidden[:, :, 0] += 1e4
    found = losses(hidden, lambda states: states.new_zeros(len(states), 1_000), made.encoder, batch, "live")
    (gradient,) = torch.autograd.grad(found.margin, [made.encoder.score_first.weight])
    assert len(batch.pairs)
    assert float(gradient.abs().max()) > 1e-4


def test_losses_do_not_depend_on_padding_or_on_the_cut(tiny: Path, discuss: Discuss) -> None:
    from distill.rows import batched

    made = network(tiny)
    both = rows(made, taught(discuss(0)), taught(discuss(1, [["Long " * 30 + "\nAnswer: 12", "Answer: 9"]])))
    together = made.losses(batched(both))
    apart = [made.losses(batched([row])) for row in both]
    for name in ("next_token", "node", "margin"):
        wanted = sum(getattr(one, name).item() for one in apart)
        assert getattr(together, name).item() == pytest.approx(wanted, rel=1e-4), name
