"""What NVIDIA hardware a machine has, and whether the pinned CUDA stack runs on it.

Asked of the driver's own library first: containers often have the driver without `nvidia-smi`. Runs before anything is
installed, so it imports the standard library only.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MIN_CUDA = (13, 0)
"""What the pinned stack is built with; a driver of an older CUDA cannot run it."""
MIN_CAPABILITY = (7, 5)
"""Compute capability (Turing) from which on vLLM's kernels exist."""
_MAJOR, _MINOR = 75, 76
"""CUdevice_attribute: compute capability."""


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU as the driver tells it."""

    name: str
    capability: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Inventory:
    """The cards, the driver's CUDA version, and who said so."""

    cards: tuple[Card, ...]
    cuda: tuple[int, int] | None
    source: str

    def refusal(self) -> str | None:
        """Why the CUDA stack would not run here; None: it runs."""
        if not self.cards:
            return f"no NVIDIA GPU found ({self.source})"
        if self.cuda is not None and self.cuda < MIN_CUDA:
            return (
                f"the driver supports CUDA {_dotted(self.cuda)}, the stack needs {_dotted(MIN_CUDA)}: "
                "update the NVIDIA driver (580 or newer)"
            )
        weak = [card for card in self.cards if card.capability < MIN_CAPABILITY]
        if weak:
            return (
                f"{weak[0].name} has compute capability {_dotted(weak[0].capability)}, vLLM needs "
                f"{_dotted(MIN_CAPABILITY)}"
            )
        return None

    def description(self) -> str:
        """In words."""
        names = [f"{card.name} (compute capability {_dotted(card.capability)})" for card in self.cards]
        cuda = f", driver for CUDA {_dotted(self.cuda)}" if self.cuda else ""
        return f"{', '.join(names) or 'no NVIDIA GPU'}{cuda} ({self.source})"


def inventory() -> Inventory:
    """Ask the driver's library, then nvidia-smi."""
    return _from_library() or _from_tool() or Inventory((), None, _traces())


def _from_library() -> Inventory | None:
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        if cuda.cuInit(0):
            return None
        version, count = ctypes.c_int(), ctypes.c_int()
        cuda.cuDriverGetVersion(ctypes.byref(version))
        cuda.cuDeviceGetCount(ctypes.byref(count))
        cards = tuple(_card(cuda, index) for index in range(count.value))
    except (OSError, AttributeError):
        return None
    return Inventory(cards, (version.value // 1000, version.value % 1000 // 10), "libcuda") if cards else None


def _card(cuda: ctypes.CDLL, index: int) -> Card:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(128)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, 128, device)
    found = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        found.append(value.value)
    return Card(name.value.decode(errors="replace"), (found[0], found[1]))


def _from_tool() -> Inventory | None:
    if not shutil.which("nvidia-smi"):
        return None
    query = ["nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    cards = tuple(card for line in listed.stdout.splitlines() if (card := _listed(line)))
    return Inventory(cards, None, "nvidia-smi") if listed.returncode == 0 and cards else None


def _listed(line: str) -> Card | None:
    name, _, capability = line.rpartition(",")
    major, _, minor = capability.strip().partition(".")
    return Card(name.strip(), (int(major), int(minor))) if major.isdigit() and minor.isdigit() else None


def _traces() -> str:
    """What is there of a driver although it does not answer."""
    if Path("/proc/driver/nvidia/version").exists():
        return "a driver is loaded but shows no card: is this a container without --gpus?"
    return "neither libcuda nor nvidia-smi shows one"


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
