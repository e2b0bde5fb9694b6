"""Two sets of facts: equal, or the difference in words."""

from pydantic import BaseModel

from crqat_pipeline.runtime.facts import content_digest, differences, spec_facts


class Inner(BaseModel):
    rate: float = 0.1


class Outer(BaseModel):
    steps: int
    inner: Inner = Inner()


def test_equal_facts_differ_in_nothing():
    assert differences({"a": "1"}, {"a": "1"}) == ""


def test_values_are_shown_and_content_is_not():
    kept = {"images": content_digest("x"), "threads": "1"}
    wanted = {"images": content_digest("y"), "threads": "2", "seed": "0"}
    assert differences(kept, wanted) == "images: other content; seed not set there, 0 now; threads 1 there, 2 now"


def test_a_long_list_is_cut():
    assert differences({}, dict.fromkeys("abcde", "1")).endswith("and 2 more")


def test_pieces_are_kept_apart():
    assert content_digest("ab", "c") != content_digest("a", "bc")


def test_a_spec_gives_its_values_by_dotted_name_without_defaults():
    assert spec_facts("train", Outer(steps=3)) == {"train.steps": "3"}
    assert spec_facts("train", Outer(steps=3, inner=Inner(rate=0.2))) == {"train.steps": "3", "train.inner.rate": "0.2"}
