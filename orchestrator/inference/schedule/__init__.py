"""The heart: conversations are plain async code; the scheduler turns their calls into batches per expert.

`request` is what travels, `scheduler` decides, `pool` runs it (its own thread), `worker` hosts one engine,
`ledger` remembers every completion, `chat` is the langchain-core face of it all.
"""
