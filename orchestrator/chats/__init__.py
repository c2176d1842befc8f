"""A chat from its messages to its events, whoever answers: one expert, `mixture`, or a method in which several confer.

The SDK's chat models (`method_chat`) and the service stand on the same functions, so that a chat costs and yields the
same in one process and through HTTP.
"""
