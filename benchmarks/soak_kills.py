"""`kill -9` of the driver, twenty times at random moments: what survives, what is generated again.

python -m benchmarks.soak_kills [--seed N]

What was generated but not yet in the ledger when the kill came is generated again: that is counted, too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.machine import conditions, write_result

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "scripts"))

KILLS = 20


def main() -> None:
    from kills import soak
    from replies import asked

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    noted = conditions()
    with tempfile.TemporaryDirectory() as folder:
        victim, last = soak(Path(folder), KILLS, seed)
        times = Counter(call.prompt for call in asked(victim.log))
        stored = len(victim.stored())
        regenerated = len(victim.regenerated())
    kills = [
        {"stored": len(kill.stored), "generated": kill.asked_before, "survivors": kill.survivors}
        for kill in victim.kills
    ]
    survivors = [name for kill in victim.kills for name in kill.survivors]
    again = sum(times.values()) - len(times)
    rows = [
        ("kills at random moments", str(len(kills)), str(KILLS)),
        ("replies of the run, all in the ledger at the end", f"{stored} of {len(times)}", "1200 of 1200"),
        ("generated again though stored", str(regenerated), "0"),
        ("generated again, not yet stored when the kill came", f"{again} ({again / KILLS:.1f} a kill)", ""),
        ("processes left ten seconds after a kill", ", ".join(survivors) or "none", "none"),
        ("last line of the run that finished", last, "done 400 ..."),
    ]
    result = {"conditions": noted, "seed": seed, "kills": kills, "generated_again": again}
    write_result(
        "soak_kills",
        "A run killed twenty times",
        rows,
        result,
        "Ray's two agents (no model, about 200 MB) are not counted: Ray ends them a minute or so after a kill.",
    )


if __name__ == "__main__":
    main()
