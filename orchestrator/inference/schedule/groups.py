"""Groups of workers: which worker takes which expert, where not all workers are alike.

`workers` in a configuration may be a list. The first group is `WorkersConfig` itself, the others are its `groups`; a
group with `experts` takes those, one without takes all that no other group takes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orchestrator.config import WorkersConfig
from orchestrator.errors import ConfigError
from orchestrator.inference.expert import Expert


def groups_of(workers: WorkersConfig) -> tuple[WorkersConfig, ...]:
    """All groups, the first one first."""
    return (workers, *workers.groups)


def kind_of(expert: Expert, workers: WorkersConfig) -> str:
    """The kind of worker that an expert needs: its group's, one of its own if it is pinned or remote."""
    if expert.remote:
        return f"remote:{expert.name}"
    number, group = numbered_group(expert.name, workers)
    return f"pinned:{expert.name}" if expert.name in group.pin else _shared(number)


def numbered_group(name: str, workers: WorkersConfig) -> tuple[int, WorkersConfig]:
    """The group that takes an expert, and its place in the list. Raises `ConfigError`."""
    every = list(enumerate(groups_of(workers)))
    for number, group in every:
        if name in group.experts:
            return number, group
    for number, group in every:
        if not group.experts:
            return number, group
    raise ConfigError(f"workers: no group takes the expert {name!r}: name it in one's `experts`")


def worker_kinds(workers: WorkersConfig, local: Sequence[Expert]) -> list[list[str]]:
    """Each group's workers by kind: first those of its pinned experts, then those that the others share.

    Raises `ConfigError` for an expert that no group takes, that two take, or that is not there.
    """
    names = {expert.name for expert in local}
    taken: set[str] = set()
    for group in groups_of(workers):
        for name in group.experts:
            if name not in names:
                raise ConfigError(f"workers.experts: {name!r} is no expert of the zoo that runs on a worker")
            if name in taken:
                raise ConfigError(f"workers.experts: {name!r} is taken by two groups")
            taken.add(name)
    members: list[set[str]] = [set() for _ in groups_of(workers)]
    for name in sorted(names):
        members[numbered_group(name, workers)[0]].add(name)
    return [_kinds(number, group, members[number]) for number, group in enumerate(groups_of(workers))]


def _kinds(number: int, group: WorkersConfig, names: Collection[str]) -> list[str]:
    for name in group.pin:
        if name not in names:
            raise ConfigError(f"workers.pin: {name!r} is no expert of the zoo that runs on a worker of this group")
    pinned = list(dict.fromkeys(group.pin))
    if group.count < len(pinned) + (len(pinned) < len(names)):
        raise ConfigError(f"workers.pin: {len(pinned)} pinned experts leave no worker of {group.count} for the others")
    return [f"pinned:{name}" for name in pinned] + [_shared(number)] * (group.count - len(pinned))


def _shared(number: int) -> str:
    return "local" if number == 0 else f"group-{number}"
