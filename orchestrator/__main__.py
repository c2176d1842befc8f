"""`python -m orchestrator`: the command line, where the console script is not on the path."""

from orchestrator.cli import main

main()
