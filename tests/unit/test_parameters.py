"""Parameters: typed, in range, and a slip is answered with what was expected."""

import pytest

from anime_growth import parameters
from anime_growth.errors import InputError
from anime_growth.parameters import NAMES, check, from_text


def test_nothing_given_means_the_defaults():
    chosen = check({})
    assert (chosen.edition, chosen.start_year, chosen.horizon_year) == ("latest", 2002, 2033)


def test_what_is_given_is_taken():
    chosen = check({"edition": 2023, "start_year": 2010, "horizon_year": 2040})
    assert (chosen.edition, chosen.start_year, chosen.horizon_year) == (2023, 2010, 2040)


@pytest.mark.parametrize(
    ("name", "ends"), [("start_year", (1990, 2100)), ("horizon_year", (2025, 2060))], ids=["start", "horizon"]
)
def test_a_range_holds_up_to_both_its_ends(name, ends):
    for value in ends:
        assert getattr(check({name: value}), name) == value
    for value in (ends[0] - 1, ends[1] + 1):
        with pytest.raises(InputError) as refused:
            check({name: value})
        assert f"parameter {name}: {value} (int) is not a whole number from {ends[0]} to {ends[1]}." in str(
            refused.value
        )


@pytest.mark.parametrize("value", [True, "2010", 2010.0, None, [2010], "latest"])
def test_a_year_of_another_type_is_refused_with_the_type_that_was_given(value):
    with pytest.raises(InputError) as refused:
        check({"start_year": value})
    assert f"parameter start_year: {value!r} ({type(value).__name__}) is not a whole number" in str(refused.value)


@pytest.mark.parametrize("value", [True, False, "2025", "newest", 2025.0, None, [2025]])
def test_an_edition_is_a_year_or_latest_and_nothing_else(value):
    with pytest.raises(InputError) as refused:
        check({"edition": value})
    message = f"parameter edition: {value!r} ({type(value).__name__}) is not a year such as 2025, or latest."
    assert message in str(refused.value)


def test_an_unknown_name_is_refused_with_the_nearest_and_all_valid_ones():
    with pytest.raises(InputError) as refused:
        check({"horizn_year": 2030})
    assert str(refused.value) == (
        f"parameter horizn_year: is unknown. Did you mean horizon_year? Valid: {', '.join(NAMES)}."
    )


def test_a_name_like_no_other_is_refused_with_all_valid_ones():
    with pytest.raises(InputError) as refused:
        check({"quux": 1})
    assert str(refused.value) == f"parameter quux: is unknown. Valid: {', '.join(NAMES)}."


def test_a_step_takes_only_its_own_parameters():
    with pytest.raises(InputError) as refused:
        check({"start_year": 2010}, ("edition",), "02_describe_market, parameter")
    assert str(refused.value) == "02_describe_market, parameter start_year: is unknown. Valid: edition."


def test_an_unknown_name_is_reported_before_a_wrong_value():
    with pytest.raises(InputError, match="editon: is unknown"):
        check({"start_year": "x", "editon": 2025})


def test_chosen_parameters_cannot_be_changed_afterwards():
    with pytest.raises(ValueError, match="frozen"):
        check({}).edition = 2023


def test_every_parameter_has_a_description():
    assert all(field.description for field in parameters.Parameters.model_fields.values())


# --- the words of a command line -----------------------------------------------------------------
def test_whole_numbers_on_the_command_line_become_numbers_and_words_stay_words():
    assert from_text(["edition=2025", "start_year=-5", "note=a=b", "empty="]) == {
        "edition": 2025,
        "start_year": -5,
        "note": "a=b",
        "empty": "",
    }
    assert check(from_text(["edition=latest", "start_year=2010"])).start_year == 2010


def test_the_same_name_twice_is_refused():
    with pytest.raises(InputError, match="parameter edition: is given twice"):
        from_text(["edition=2025", "edition=2024"])


@pytest.mark.parametrize("word", ["edition", "=2025", "", "--edition"])
def test_a_word_that_is_no_pair_is_refused_with_an_example(word):
    with pytest.raises(InputError, match=r"is not written name=value.*edition=2025"):
        from_text([word])


@pytest.mark.parametrize("text", ["--5", "-", "²", "2025.0", "1e3", "2_025", "twenty"])
def test_a_word_that_is_no_whole_number_is_refused_as_a_year_with_a_sentence(text):
    with pytest.raises(InputError, match=r"parameter start_year: .* is not a whole number from 1990 to 2100"):
        check(from_text([f"start_year={text}"]))
