"""What chats stand on: the experts that may be asked, and who ranks them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from orchestrator.chats.conversation_experts import ConversationExperts
from orchestrator.config import Config
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.mixture.fitted import FittedMixture
from orchestrator.evaluation.profile import Profiled
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from router.embedding import Embedder
from router.ranking import Ranking


class Zoo(Protocol):
    """The experts, their workers and what is configured: as much of a `Collegium` as chats use."""

    config: Config

    @property
    def experts(self) -> dict[str, Expert]:
        """The experts by name."""
        ...

    @property
    def embedder(self) -> Embedder:
        """Texts to vectors."""
        ...

    @property
    def pool(self) -> Pool:
        """The workers."""
        ...

    @property
    def state(self) -> Path:
        """The folder of what outlives the process."""
        ...

    def context(self) -> Context:
        """What methods work with."""
        ...


class ServiceRouting(Protocol):
    """Who ranks the experts for a chat."""

    @property
    def conversations(self) -> ConversationExperts:
        """Who answered which conversation last."""
        ...

    async def rank(
        self, questions: list[str], before: list[str] | None = None, mixture: FittedMixture | None = None
    ) -> list[Ranking]:
        """One ranking per question; `before`: the conversation before each; `mixture`: that which ranks (default: the
        newest). Raises `NotReady` while there is none, `BadInput` for empty texts."""
        ...

    async def mixture(self) -> FittedMixture:
        """The newest mixture that is ready. Raises `NotReady` while there is none."""
        ...

    async def profiled(self) -> Profiled:
        """What methods are fitted on. Raises `NotReady` where the profile lacks an expert of the zoo."""
        ...

    def why_not(self, *, whole: bool = False) -> str | None:
        """Why nothing can be ranked now, or with `whole` why no method can be fitted on the profile; None: it can."""
        ...

    async def learn(self, question: str, expert: str, score: float, skills: list[str]) -> int:
        """Record one judgement; its version. Raises `BadInput` for an unknown expert."""
        ...
