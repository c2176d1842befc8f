"""Requests in, completions out: engines, the workers that run them, the scheduler between them, and the ledger."""
