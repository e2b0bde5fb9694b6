from crqat_pipeline.runtime.nested import ABSENT, value_at, with_value


def test_a_value_is_found_by_its_path_or_absent():
    nested = {"a": {"b": None}, "c": 3}
    assert value_at(nested, ["a", "b"]) is None
    assert value_at(nested, ["a", "x"]) is ABSENT
    assert value_at(nested, ["c", "x"]) is ABSENT
    assert value_at(nested, []) == nested


def test_a_value_is_put_into_a_copy_and_makes_the_mappings_on_its_way():
    nested = {"a": {"b": 1, "k": 2}, "c": None}
    assert with_value(nested, ["a", "b"], 5) == {"a": {"b": 5, "k": 2}, "c": None}
    assert with_value(nested, ["c", "d", "e"], 5) == {"a": {"b": 1, "k": 2}, "c": {"d": {"e": 5}}}
    assert nested == {"a": {"b": 1, "k": 2}, "c": None}
