"""What transcripts show: who was right in which round, and who convinced whom.

Somebody was convinced where its answer changed, from one of its replies to the next, to an answer that a reply it had
read gave. Each of those it had read with that answer is credited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from distill.graph import nodes

if TYPE_CHECKING:
    import networkx


class ReplyTally(BaseModel):
    """Replies of one agent in one round."""

    model_config = ConfigDict(extra="forbid")

    right: int = 0
    wrong: int = 0
    silent: int = Field(default=0, description="Replies without an answer.")
    unknown: int = Field(default=0, description="Replies to questions whose gold answer is not known.")

    @property
    def total(self) -> int:
        """All replies but those of which nobody knows whether they are right."""
        return self.right + self.wrong + self.silent


class PersuasionCount(BaseModel):
    """How often one agent convinced another, to a right and to a wrong answer."""

    model_config = ConfigDict(extra="forbid")

    rightly: int = 0
    wrongly: int = 0

    unknown: int = Field(default=0, description="To an answer of which nobody knows whether it is right.")

    def count(self, right: bool | None) -> None:
        """Count one more: to a right or to a wrong answer, or to one of which that is not known."""
        self.rightly += right is True
        self.wrongly += right is False
        self.unknown += right is None


class CorpusStatistics(BaseModel):
    """Counts over many graphs; bounded by the number of agents and rounds."""

    model_config = ConfigDict(extra="forbid")

    questions: int = 0
    replies: dict[str, dict[int, ReplyTally]] = Field(default_factory=dict, description="Agent -> round -> tally.")
    convinced: dict[str, dict[str, PersuasionCount]] = Field(
        default_factory=dict, description="Who -> whom -> how often."
    )

    def add(self, graph: networkx.DiGraph) -> None:
        """Count one interaction graph."""
        self.questions += 1
        last: dict[str, str | None] = {}
        for name, node in nodes(graph):
            agent, answer = node["agent"], node["answer"]
            tally = self.replies.setdefault(agent, {}).setdefault(node["round"], ReplyTally())
            if graph.graph["gold"] is None or (node["right"] is None and answer is not None):
                tally.unknown += 1
            elif answer is None:
                tally.silent += 1
            elif node["right"]:
                tally.right += 1
            else:
                tally.wrong += 1
            if agent in last and answer is not None and answer != last[agent]:
                received = (graph.nodes[other] for other in graph.predecessors(name))
                for who in {other["agent"] for other in received if other["answer"] == answer} - {agent}:
                    self.convinced.setdefault(who, {}).setdefault(agent, PersuasionCount()).count(node["right"])
            last[agent] = answer

    @property
    def rounds(self) -> int:
        """How many rounds the longest discussion had."""
        return 1 + max((number for found in self.replies.values() for number in found), default=-1)

    def accuracy(self, agent: str, round: int) -> tuple[int, int]:
        """(right, replies) of an agent in a round."""
        tally = self.replies.get(agent, {}).get(round, ReplyTally())
        return tally.right, tally.total
