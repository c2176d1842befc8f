"""Rendering chat templates that come from strangers: transformers' environment, with an end.

A template is a program. It runs in Jinja's immutable sandbox, as in transformers, and further within a number of loop
rounds and calls, a length of its output and a time; what passes one of them is refused. What templates mean is
transformers' (`render` gives what `apply_chat_template` gives).
"""

from __future__ import annotations

import functools
import json
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox
import jinja2.visitor

MAX_ROUNDS = 2_000_000
"""Rounds of all loops and calls of all functions in one rendering."""
MAX_SECONDS = 2.0
MAX_NUMBER = 10_000
_CUT = "@@CONTINUE-FROM-HERE@@ "
_WIDTHS = frozenset(
    ["batch", "center", "expandtabs", "indent", "ljust", "rjust", "slice", "tojson", "truncate", "wordwrap", "zfill"]
)
_WIDE = re.compile(r"\d{5,}")
MAX_CHARACTERS = 16_000_000
"""Of one rendering, and of one text within it."""


class TemplateError(ValueError):
    """A template that cannot be read or rendered, or takes too long."""


def render(
    template: str, messages: Iterable[Mapping[str, Any]], *, continue_final: bool = False, **variables: Any
) -> str:
    """The prompt's text, ending with the beginning of a reply, or with the last message's text if `continue_final`.

    Raises `TemplateError` with what the template says or what was too much.
    """
    chat = [dict(message) for message in messages]
    if continue_final:
        chat[-1]["content"] = f"{chat[-1].get('content') or ''}{_CUT}"
    compiled = compile_template(template)
    _BUDGET.rounds, _BUDGET.until = MAX_ROUNDS, time.monotonic() + MAX_SECONDS
    parts, length = [], 0
    try:
        for part in compiled.generate(messages=chat, add_generation_prompt=not continue_final, **variables):
            parts.append(part)
            length += len(part)
            if length > MAX_CHARACTERS:
                raise TemplateError(f"chat template: more than {MAX_CHARACTERS:,} characters")
    except TemplateError:
        raise
    except Exception as error:  # templates raise whatever their expressions do
        raise TemplateError(f"chat template: {' '.join(str(error).split()) or type(error).__name__}") from error
    text = "".join(parts)
    if not continue_final:
        return text
    head, mark, _ = text.rpartition(_CUT.strip())
    if not mark:
        raise TemplateError("chat template: it leaves out the message that is to be continued")
    # A template that strips texts has taken the mark's space: the text before it is then bare.
    return head if f"{mark} " in text else head.rstrip()


@functools.lru_cache(maxsize=256)
def compile_template(template: str) -> jinja2.Template:
    """Raises `TemplateError` naming the line that is no Jinja."""
    environment = _environment()
    try:
        tree = environment.parse(template)
        for loop in tree.find_all(jinja2.nodes.For):
            loop.iter = _call("_counted", [loop.iter])
        tree = _Concatenations().visit(tree)
        tree.set_environment(environment)
        code = environment.compile(tree)
        return jinja2.Template.from_code(environment, code, environment.make_globals(None))
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"chat template: line {error.lineno}: {error.message}") from error
    except (RecursionError, MemoryError, SyntaxError) as error:
        raise TemplateError("chat template: nested too deeply") from error


def _call(name: str, arguments: list[Any]) -> jinja2.nodes.Call:
    return jinja2.nodes.Call(jinja2.nodes.Name(name, "load"), arguments, [], None, None)


class _Concatenations(jinja2.visitor.NodeTransformer):
    """`a ~ b` as a call of `_concatenated`, which looks at what it makes."""

    def visit_Concat(self, node: Any) -> jinja2.nodes.Call:
        self.generic_visit(node)
        return _call("_concatenated", node.nodes)


def _concatenated(*parts: Any) -> str:
    return str(_bounded("".join(str(part) for part in parts)))


class _Budget(threading.local):
    rounds = 0
    until = 0.0

    def spend(self) -> None:
        self.rounds -= 1
        if self.rounds < 0 or (self.rounds % 256 == 0 and time.monotonic() > self.until):
            raise TemplateError(f"chat template: more than {MAX_ROUNDS:,} loop rounds or {MAX_SECONDS:g} s")


_BUDGET = _Budget()


class _Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def call(self, context: Any, function: Any, /, *arguments: Any, **named: Any) -> Any:
        _BUDGET.spend()
        # `str.format` comes wrapped by the sandbox.
        owner = getattr(getattr(function, "__wrapped__", function), "__self__", None)
        if isinstance(owner, str):
            _check_sizes(getattr(function, "__name__", ""), owner, *arguments, *named.values())
        return _bounded(super().call(context, function, *arguments, **named))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        _BUDGET.spend()
        if operator == "**" or (operator == "*" and not _small_product(left, right)):
            raise TemplateError(f"chat template: {operator} of {_kind(left)} and {_kind(right)} is too much")
        if operator == "%" and isinstance(left, str):
            _check_sizes("format", left)
        return _bounded(super().call_binop(context, operator, left, right))


def _bounded(value: Any) -> Any:
    if isinstance(value, (str, list, tuple)) and len(value) > MAX_CHARACTERS:
        raise TemplateError(f"chat template: more than {MAX_CHARACTERS:,} characters")
    return value


def _check_sizes(name: str, *values: Any) -> None:
    """Raises `TemplateError` for widths and repetitions that a few characters of a template can ask for."""
    if name in _WIDTHS and any(isinstance(value, int) and abs(value) > MAX_NUMBER for value in values):
        raise TemplateError(f"chat template: {name} by a number over {MAX_NUMBER:,}")
    texts = [value for value in values if isinstance(value, str)]
    if name == "replace" and len(texts) > 2 and texts[0].count(texts[1]) * len(texts[2]) > MAX_CHARACTERS:
        raise TemplateError(f"chat template: more than {MAX_CHARACTERS:,} characters")
    if name in ("format", "__mod__") and _WIDE.search(texts[0] if texts else ""):
        raise TemplateError(f"chat template: {name} to a width over 9,999")
    if name == "join" and len(texts) > 1:
        joined = next((value for value in values if isinstance(value, (list, tuple))), ())
        if len(joined) * len(max(texts, key=len)) > MAX_CHARACTERS:
            raise TemplateError(f"chat template: more than {MAX_CHARACTERS:,} characters")


def _checked_filter(name: str, inner: Any) -> Any:
    @functools.wraps(inner)  # which keeps Jinja's own marks
    def outer(*arguments: Any, **named: Any) -> Any:
        _BUDGET.spend()
        _check_sizes(name, *arguments, *named.values())
        return _bounded(inner(*arguments, **named))

    return outer


def _small_product(left: Any, right: Any) -> bool:
    if isinstance(right, (str, list, tuple)):
        left, right = right, left
    if isinstance(left, (str, list, tuple)):
        return isinstance(right, int) and len(left) * right <= 100_000
    return bool(abs(left) < 2**63 and abs(right) < 2**63)


def _kind(value: Any) -> str:
    return type(value).__name__


def _counted(values: Any) -> Iterator[Any]:
    for value in values:
        _BUDGET.spend()
        yield value


class _Generation(jinja2.ext.Extension):
    """{% generation %}, which marks what a model said, for training; here its content alone counts."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own way

    def parse(self, parser: Any) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        body: list[jinja2.nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return body


@functools.cache
def _environment() -> _Sandbox:
    environment = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = _tojson
    environment.filters = {name: _checked_filter(name, inner) for name, inner in environment.filters.items()}
    del environment.globals["lipsum"], environment.filters["pprint"]
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    environment.globals |= {"_counted": _counted, "_concatenated": _concatenated}
    return environment


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(str(message))
