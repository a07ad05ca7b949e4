"""What must survive a power cut: files are on the disk before they appear, and many are replaced as one."""

import contextlib
import os
import shutil

import pytest

from anime_growth import disk, paths

NAMES = ("README.md", "CHANGELOG.md", "notebooks/01.ipynb", "notebooks/02.ipynb", "data/processed/published/a.csv")


class PowerCut(BaseException):
    """Nothing that stands after this is done, and nothing is cleaned up."""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A study in which every file says that it is old."""
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path))
    write(tmp_path, "old")
    (tmp_path / "data/processed/published/only_old.csv").write_text("old")
    return tmp_path


def write(top, text):
    for name in NAMES:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)


def found(home):
    return {path.relative_to(home).as_posix(): path.read_text() for path in home.rglob("*") if path.is_file()}


OLD = {**dict.fromkeys(NAMES, "old"), "data/processed/published/only_old.csv": "old"}
NEW = dict.fromkeys(NAMES, "new")


# --- onto the disk ----------------------------------------------------------------------------------
def test_settling_waits_for_every_file_and_every_folder(tmp_path, monkeypatch):
    (tmp_path / "folder/empty").mkdir(parents=True)
    for name in ("a", "folder/b"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("nowhere")
    synced = set()
    monkeypatch.setattr(disk.os, "fsync", lambda handle: synced.add(os.fstat(handle).st_ino))
    disk.settle(tmp_path)
    everything = [tmp_path, *(path for path in tmp_path.rglob("*") if not path.is_symlink())]
    assert synced == {path.stat().st_ino for path in everything}


def test_settling_leaves_no_file_open(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(disk.os, "fsync", opened.append)
    disk.settle_names(tmp_path)
    with pytest.raises(OSError):
        os.fstat(opened[0])


# --- replaced as one --------------------------------------------------------------------------------
def test_everything_is_replaced_and_nothing_is_left_of_the_old_folder(home):
    disk.replace_as_one(lambda fresh: write(fresh, "new"))
    assert found(home) == NEW
    assert not disk._stage().exists()


def test_where_it_cannot_be_prepared_nothing_changes(home):
    def prepare(fresh):
        write(fresh, "new")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        disk.replace_as_one(prepare)
    assert found(home) == OLD
    assert not disk._stage().exists()


def cut_at(number, monkeypatch):
    """A power cut at the nth change of the disk; those before are made."""
    made = []

    def around(owner, name):
        plain = getattr(owner, name)

        def call(*arguments, **options):
            made.append(name)
            if len(made) == number:
                raise PowerCut
            return plain(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    for owner, name in ((os, "replace"), (os, "rename"), (os, "mkdir"), (shutil, "rmtree"), (os, "fsync")):
        around(owner, name)
    return made


def test_after_a_power_cut_at_any_change_it_is_all_old_or_all_new(home, monkeypatch):
    cuts, seen = 0, set()
    while True:
        cuts += 1
        write(home, "old")
        (home / "data/processed/published/only_old.csv").write_text("old")
        with monkeypatch.context() as patch:
            cut_at(cuts, patch)
            try:
                disk.replace_as_one(lambda fresh: write(fresh, "new"))
                break
            except PowerCut:
                pass
        disk.finish_replacing()
        assert found(home) in (OLD, NEW), f"a mixture after the cut at change {cuts}"
        seen.add(found(home) == NEW)
        assert not disk._stage().exists()
    assert cuts > 20 and seen == {True, False}


def test_after_two_power_cuts_it_is_all_old_or_all_new(home, monkeypatch):
    for first in range(25, 40):
        write(home, "old")
        (home / "data/processed/published/only_old.csv").write_text("old")
        for number in (first, 3):
            with monkeypatch.context() as patch:
                cut_at(number, patch)
                with contextlib.suppress(PowerCut):
                    disk.finish_replacing()
                    if number == first:
                        disk.replace_as_one(lambda fresh: write(fresh, "new"))
        disk.finish_replacing()
        assert found(home) in (OLD, NEW), first


def test_without_anything_begun_there_is_nothing_to_finish(home):
    disk.finish_replacing()
    assert found(home) == OLD
