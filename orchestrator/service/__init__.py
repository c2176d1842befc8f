"""The REST service: an OpenAI-compatible application over the pool, jobs, keys, metrics.

`application` puts the routes together, `chat` answers (by `model_list`: experts, mixture, methods), `jobs` runs the
pipelines, `middleware` guards everything; `serve` runs it under uvicorn, `ray_serve` on Ray Serve.
"""
