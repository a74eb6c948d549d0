"""A program below /tmp comes along; one elsewhere stays where it is."""

from __future__ import annotations

from pathlib import Path

from outlast.run.program_files import FILES_MAX, is_hidden, stage_program


def test_places_of_a_host_of_its_own_hide_what_is_there() -> None:
    assert is_hidden(Path("/tmp/mine/load.py"))
    assert is_hidden(Path("/tmp"))
    assert not is_hidden(Path("/tmpfoo/load.py"))
    assert not is_hidden(Path("/home/me/load.py"))


def test_a_small_folder_comes_along_with_its_modules(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "lib").mkdir(parents=True)
    (folder / "load.py").write_text("import lib")
    (folder / "lib/__init__.py").write_text("")
    words, place = stage_program(
        ["python", "load.py", str(folder / "load.py"), "--n=3"], folder, tmp_path / "host"
    )
    assert words == ("python", "load.py", str(place / "load.py"), "--n=3")
    assert (place / "lib/__init__.py").exists()


def test_of_a_big_folder_only_what_is_named_comes_along(tmp_path: Path) -> None:
    folder = tmp_path / "big"
    folder.mkdir()
    for number in range(FILES_MAX + 1):
        (folder / f"f{number}").touch()
    words, place = stage_program(["python", "f7"], folder, tmp_path / "host")
    assert words == ("python", "f7")
    assert [path.name for path in place.iterdir()] == ["f7"]


def test_a_program_elsewhere_is_left_where_it_is() -> None:
    assert stage_program(["/usr/bin/env", "true"], Path("/usr"), Path("/nowhere")) == (
        ("/usr/bin/env", "true"),
        Path("/usr"),
    )


def test_a_file_named_from_outside_the_folder_is_copied_aside(tmp_path: Path) -> None:
    script = tmp_path / "load.py"
    script.write_text("")
    words, place = stage_program(["python", str(script)], Path("/usr"), tmp_path / "host")
    assert place == Path("/usr")
    assert words[1] != str(script)
    assert Path(words[1]).exists()
