import pytest

from crqat_pipeline.structures.category_name import plain_name, prompt_names, spelled_names


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("bow_(weapon)", "bow"),
        ("cap_(headwear)", "cap"),
        ("aerosol_can", "aerosol can"),
        ("striped red star", "striped red star"),
        ("Cigar ", "Cigar"),
        ("monitor_(computer_equipment)", "monitor"),
    ],
)
def test_plain_name(raw: str, plain: str) -> None:
    assert plain_name(raw) == plain


@pytest.mark.parametrize("name", ["Truck w/Box", "screw (bent)", "traffic_light", "AC/DC"])
def test_names_are_the_users(name: str) -> None:
    assert prompt_names({"id": 1, "name": name, "supercategory": "none"}) == (name,)
    assert prompt_names({"id": 1, "name": name, "frequency": "f", "synonyms": [name]}) == (name,)


def test_synonyms_come_first_and_are_not_repeated() -> None:
    category = {"name": "bull", "synset": "bull.n.11", "synonyms": ["horned_cow", "horned cow", "bull"]}
    assert prompt_names(category) == ("horned cow", "bull")


def test_one_entry_of_lvis_or_objects365_may_hold_several_names() -> None:
    assert spelled_names({"name": "Cabinet/shelf"}) == ("Cabinet", "shelf")
    glued = "monitor_(computer_equipment) computer_monitor"
    assert spelled_names({"name": glued, "synonyms": [glued]}) == ("monitor", "computer monitor")


def test_a_phrase_is_said_as_it_is() -> None:
    assert prompt_names({"name": "black/white cat (left)", "is_phrase": True}) == ("black/white cat (left)",)
    assert prompt_names({"synonyms": ["a_b"], "is_phrase": True}) == ("a_b",)


def test_a_category_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="has no name"):
        prompt_names({"id": 3, "name": " "})
