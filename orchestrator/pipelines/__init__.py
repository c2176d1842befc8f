"""The pipelines: each is one coroutine with one pydantic request and one result. SDK signatures, command-line flags
and (later) REST schemas derive from the request models and are declared nowhere else.
"""
