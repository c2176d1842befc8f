"""Bad configuration gets one clear error that names file, key and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import Config, read, validate
from orchestrator.errors import ConfigError

GOOD = """
experts:
  plain: {model: models/plain}
  tuned: {model: models/plain, adapter: tuned, skills: [letters]}
  merged:
    recipe: {method: linear, sources: [{model: a, weight: 0.5}, {model: b, weight: 0.5}]}
  far: {url: "https://example.org/v1", model: big, api_key_env: BIG_KEY}
workers: {count: 2, cpus: 1}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "zoo.yaml"
    path.write_text(text)
    return path


def test_a_good_file_is_read_and_its_paths_are_relative_to_it(tmp_path: Path) -> None:
    config = read(written(tmp_path, GOOD), ["workers.count=3", "state=here"])
    assert config.experts["tuned"].adapter == str(tmp_path / "tuned")
    assert config.experts["far"].model == "big"
    assert (config.workers.count, config.workers.cpus, config.state) == (3, 1, "here")
    recipe = config.experts["merged"].recipe
    assert recipe is not None
    assert [source.model for source in recipe.sources] == [str(tmp_path / "a"), str(tmp_path / "b")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("expert: {}", r"zoo\.yaml: expert: unknown key; did you mean 'experts'\?"),
        ("experts: {a: {modle: x}}", r"experts\.a\.modle: unknown key; did you mean 'model'\?"),
        ("experts: {a: {model: x}}\nworkers: {cout: 2}", r"workers\.cout: unknown key; did you mean 'count'\?"),
        ("experts: {a: {model: x}}\nworkers: {count: many}", r"workers\.count: .*integer.*\(got 'many'\)"),
        ("experts: {a: {model: x}}\nworkers: {count: 0}", r"workers\.count: .*greater than or equal to 1"),
        ("experts: {a: {}}", r"experts\.a: .*exactly one of model, recipe, url, script"),
        ("experts: {a: {model: x, script: 'm:f'}}", r"exactly one of model, recipe, url, script"),
        ("experts: {a: {adapter: x, script: 'm:f'}}", r"an adapter needs a model"),
        ("experts: {a: {recipe: {method: linear, sources: []}}}", r"experts\.a\.recipe\.sources"),
        (
            "experts: {a: {recipe: {method: task_arithmetic, sources: [{model: x, weight: 1}]}}}",
            r"task_arithmetic needs a base",
        ),
        ("experts: {'a b': {model: x}}", r"experts\.a b: a name has letters"),
        ("experts: {}", r"no experts"),
        ("- a\n- b", r"a mapping was expected, not list"),
        ("a: &x [1]\nb: *x", r"aliases are not allowed"),
        ("experts: {a: {model: x}, a: {model: y}}", r"duplicate key 'a'"),
        ("{1: 2}", r"key 1 is not a string"),
        ("a: [", r"not valid YAML"),
        ("a: !!python/object/apply:os.system ['true']", r"not valid YAML"),
        ("zoo: missing.yaml", r"missing\.yaml: No such file"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read(written(tmp_path, text))


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"experts\.a\.modle.*; experts\.b\.context"):
        read(written(tmp_path, "experts: {a: {modle: x, model: y}, b: {model: x, context: no}}"))


def test_a_huge_file_and_bad_overrides_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="larger than"):
        read(written(tmp_path, "#" * 2_000_000))
    path = written(tmp_path, GOOD)
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        read(path, ["workers.count"])
    with pytest.raises(ConfigError, match="no keys below"):
        read(path, ["state=here", "state.deeper=1"])
    with pytest.raises(ConfigError, match=r"workers\.cuont"):
        read(path, ["workers.cuont=1"])


def test_a_zoo_is_added_and_names_may_not_collide(tmp_path: Path) -> None:
    zoo = tmp_path / "sub" / "zoo.yaml"
    zoo.parent.mkdir()
    zoo.write_text("experts: {a: {model: x}}")
    config = read(written(tmp_path, "zoo: sub/zoo.yaml\nexperts: {b: {model: y}}"))
    assert config.experts["a"].model == str(tmp_path / "sub" / "x")
    assert list(config.experts) == ["a", "b"]
    with pytest.raises(ConfigError, match=r"experts\.a: also in the zoo"):
        read(written(tmp_path, "zoo: sub/zoo.yaml\nexperts: {a: {model: y}}"))


def test_a_key_of_the_last_version_works_and_its_new_name_is_noted(tmp_path: Path) -> None:
    path = written(tmp_path, "experts: {a: {model: x}}\nworkers: {deaths: 4}")
    with pytest.warns(FutureWarning, match=r"^workers\.(deaths|again) is now workers\.") as noted:
        workers = read(path, ["workers.again=7"]).workers
    assert (workers.max_crashes, workers.retry_seconds) == (4, 7.0)
    assert {str(note.message).split("; ")[0] for note in noted} == {
        "workers.deaths is now workers.max_crashes",
        "workers.again is now workers.retry_seconds",
    }
    with pytest.raises(ConfigError, match=r"zoo\.yaml: workers: deaths is the old name of max_crashes"):
        read(path, ["workers.max_crashes=4"])


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_any_data_is_a_configuration_or_a_clear_error(data: object) -> None:
    try:
        found: object = validate(data if isinstance(data, dict) else {"experts": data}, Path("/nowhere/file.yaml"))
    except ConfigError as error:
        found = error
    assert isinstance(found, Config) or ("file.yaml" in str(found) and "\n" not in str(found))


def test_the_default_expert_must_be_in_the_zoo(tmp_path: Path) -> None:
    data = {"experts": {"a": {"script": "x:y"}}, "service": {"default": "b"}}
    with pytest.raises(ConfigError, match=r"service\.default: no expert 'b' among a"):
        validate(data, tmp_path / "c.yaml")
