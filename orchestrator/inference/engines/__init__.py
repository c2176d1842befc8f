"""Engines: what turns requests into tokens. One protocol (`engine`), one conformance suite, four that keep it.

`vllm` (the default; with `vllm_shape`, `vllm_weights`), `transformers` (where vLLM is not to be had; with
`decoding`, `text_stream`, `grammar`), `remote` (an OpenAI-compatible URL or a LangChain chat model; with
`openai_stream`) and `scripted` (a Python function, for tests). Import them from their modules: each brings its
own heavy libraries, this package none.
"""
