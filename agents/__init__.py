"""Conversations over any langchain-core chat model. Knows no engine, no Ray, no device.

`question` and `answers` are the one home of answer kinds, extraction and equality; `prompts` and
`reply` are what is said to an expert and how its reply is read; `votes` turns k replies into one answer.
"""
