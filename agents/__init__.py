"""Conversations over any langchain-core chat model. Knows no engine, no Ray, no device.

`question` and `answers` are the one home of answer kinds, extraction and equality; `prompts` and `reply` are what is
said to an agent and how its reply is read; `agent` is a chat model with a name; `conversation` is one run of a
discussion (`discussions`) on one question, `window` runs many of them, `transcript` is the record, `figures` what
transcripts show; `confidence` and `votes` turn k replies into one answer.
"""
