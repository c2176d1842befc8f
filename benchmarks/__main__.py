"""`make bench`: every benchmark, one after the other, each in a process of its own. An hour and more on two cores.

Nothing else should run on the machine meanwhile; each result notes the foreign load it saw.
"""

from __future__ import annotations

import subprocess
import sys

VOTES = "each,best,vote,weighted-vote"
TALK = ("--name", "discussion_talk", "--kinds", "stated", "--questions", "80", "--samples", "18")
BENCHMARKS = (
    ["start"],
    ["page"],
    ["scheduler_simulation"],
    ["engine_swap"],
    ["swapping", "--experts", "8"],
    ["swapping", "--experts", "16", "--measured", "1"],
    ["overhead"],
    ["merging"],
    ["merging", "--size", "1B", "--methods", "linear,ties,dare_ties,slerp,karcher"],
    ["merging", "--memory"],
    ["accuracy"],
    ["discussion"],
    ["discussion", "--name", "discussion_tokens", "--seed", "1", "--kinds", "tokens", "--methods", VOTES],
    ["discussion", *TALK, "--methods", f"{VOTES},reconcile,self-consistency,panel-twice"],
    ["discussion_load"],
    ["discussion_scheduling"],
    ["clustering"],
    ["search"],
    ["glue"],
    ["mixtures"],
    ["eval_router"],
    ["recruiting"],
    ["routing"],
    ["mixture_chat"],
    ["everyday"],
    ["demo_routing"],
    ["service"],
    ["service_swapping"],
    ["service_waits"],
    ["distill", "--arms", "untaught,panel,best-teacher,gold,L1,L2,L3,L4,L4-detached,dpo"],
    ["distill_speed"],
)


def main() -> int:
    failed = []
    for name, *arguments in BENCHMARKS:
        print(f"== {name} {' '.join(arguments)}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
