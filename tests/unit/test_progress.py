"""How much time is left: what steps took before, put into the order in which they may run."""

import json

import pytest

from anime_growth import paths, progress
from anime_growth.steps import STEPS

TEN_EACH = dict.fromkeys(STEPS, 10.0)
FIRST, *_, LAST = STEPS


def test_one_at_a_time_the_time_left_is_that_of_all():
    assert progress.seconds_left(TEN_EACH, {}, [], 1) == 10 * len(STEPS)
    assert progress.seconds_left(TEN_EACH, {FIRST: 4}, [], 1) == 10 * len(STEPS) - 4


def test_side_by_side_it_is_that_of_the_longest_way_through_what_needs_what():
    # 02, 03 and 04 wait for 01 only, 05 for 03 and 04, 06 for all.
    assert progress.seconds_left(TEN_EACH, {}, [], 8) == 40
    assert progress.seconds_left({**TEN_EACH, "02_describe_market": 35.0}, {}, [], 8) == 55


def test_a_step_that_takes_longer_than_ever_is_expected_to_end_any_moment():
    assert progress.seconds_left(TEN_EACH, {LAST: 99}, list(STEPS)[:-1], 2) == 0
    assert progress.seconds_left(TEN_EACH, {}, STEPS, 2) == 0


def record(folder, seconds, exit_class="done"):
    folder.mkdir(parents=True)
    steps = {name: {"seconds": value, "files": {}} for name, value in seconds.items()}
    (folder / "run.json").write_text(
        json.dumps({"parameters": {}, "raw_files": {}, "steps": steps, "exit_class": exit_class})
    )


def test_what_steps_take_is_told_by_the_newest_run_that_ended_well(study):
    record(paths.published(), dict.fromkeys(STEPS, 1.0))
    assert progress.typical_seconds() == dict.fromkeys(STEPS, 1.0)
    record(paths.runs() / "20260101T000000Z", dict.fromkeys(STEPS, 2.0))
    record(paths.runs() / "20260101T000001Z", dict.fromkeys(STEPS, 3.0))
    record(paths.runs() / "failed-20260101T000002Z", dict.fromkeys(STEPS, 4.0), "failed")
    assert progress.typical_seconds() == dict.fromkeys(STEPS, 3.0)


def test_a_step_that_is_new_is_taken_for_an_average_one(study):
    record(paths.published(), {FIRST: 2.0, LAST: 4.0})
    assert progress.typical_seconds() == {**dict.fromkeys(STEPS, 3.0), FIRST: 2.0, LAST: 4.0}


@pytest.mark.parametrize("spoilt", ["", "{", '{"parameters": {}, "raw_files": {}}'])
def test_where_nothing_is_known_no_time_is_told(study, spoilt):
    assert progress.typical_seconds() == {}
    paths.published().mkdir(parents=True)
    (paths.published() / "run.json").write_text(spoilt)
    assert progress.typical_seconds() == {}
