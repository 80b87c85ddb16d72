"""Fetching from a folder that stands for the network: verified, whole or not at all, and clear when offline."""

import dataclasses
import hashlib

import pytest

from multimargin.data import catalogue
from multimargin.data.catalogue import CATALOGUE, cache_folder, fetch, find_data_set, locate
from multimargin.errors import ArgumentError, DataError

CONTENT = {"train.txt": b"0 1 2\n1 3\n", "test.txt": b"0 3\n"}


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A small data set "toy" in the catalogue, served from a folder."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    files = {name: blob_id(content) for name, content in CONTENT.items()}
    toy = dataclasses.replace(CATALOGUE["gowalla"], name="toy", source=folder.as_uri(), files=files)
    monkeypatch.setattr(catalogue, "CATALOGUE", {"toy": toy})
    monkeypatch.setenv("MULTIMARGIN_CACHE", str(tmp_path / "cache"))
    return folder


def test_files_arrive_verified_and_only_once(mirror, tmp_path):
    heard = []
    folder = fetch("toy", progress=lambda *event: heard.append(event))
    assert folder == locate("toy") == tmp_path / "cache" / "toy"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == CONTENT
    assert heard == [("train.txt", 10, 10), ("test.txt", 4, 4)]
    (mirror / "train.txt").unlink()
    assert fetch("toy", progress=lambda *event: heard.append(event)) == folder
    assert len(heard) == 2


def test_a_damaged_file_in_the_cache_is_fetched_again(mirror):
    folder = fetch("toy")
    (folder / "train.txt").write_bytes(b"0 1")
    assert (fetch("toy") / "train.txt").read_bytes() == CONTENT["train.txt"]


def test_another_content_is_refused_and_leaves_nothing(mirror, tmp_path):
    (mirror / "train.txt").write_bytes(b"0 1 2\n1 4\n")
    with pytest.raises(
        DataError, match=rf"must have git blob id {blob_id(CONTENT['train.txt'])}; got [0-9a-f]{{40}}\. "
    ):
        fetch("toy")
    assert list((tmp_path / "cache" / "toy").iterdir()) == []


def test_offline_says_what_to_put_where(mirror, tmp_path):
    (mirror / "test.txt").unlink()
    with pytest.raises(DataError) as caught:
        fetch("toy")
    message = str(caught.value)
    assert message.startswith(f"{mirror.as_uri()}/test.txt must be reachable; ")
    assert message.endswith(
        f"Download {mirror.as_uri()}/test.txt by hand and save it as {tmp_path / 'cache' / 'toy' / 'test.txt'}."
    )
    assert "\n" not in message
    assert [file.name for file in (tmp_path / "cache" / "toy").iterdir()] == ["train.txt"]


def test_no_name_server_is_an_error_of_ours(mirror, monkeypatch):
    import urllib.error

    def refuse(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(catalogue.urllib.request, "urlopen", refuse)
    with pytest.raises(DataError, match=r"must be reachable; Name or service not known\. Download "):
        fetch("toy", source="https://example.org/toy/")


def test_a_cache_that_cannot_be_written(mirror, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"must be a folder to write in; .* Set MULTIMARGIN_CACHE"):
        fetch("toy", cache=tmp_path / "file")


def test_what_is_not_there_is_named(mirror, tmp_path):
    with pytest.raises(DataError, match=r"train\.txt and test\.txt are not there\. Run `multimargin data fetch toy`"):
        locate("toy")
    with pytest.raises(ArgumentError, match=r"data set must be one of toy; got 'tox'\. Did you mean 'toy'\?"):
        find_data_set("tox")
    with pytest.raises(ArgumentError, match="source must start with https://"):
        fetch("toy", source="ftp://x")


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("MULTIMARGIN_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert cache_folder("elsewhere").name == "elsewhere"
    monkeypatch.delenv("MULTIMARGIN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "multimargin"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert cache_folder().parts[-2:] == (".cache", "multimargin")


def test_the_catalogue_is_complete():
    assert set(CATALOGUE) == {"gowalla", "yelp2018", "amazon-book"}
    for name, data_set in CATALOGUE.items():
        assert data_set.name == name
        assert data_set.source.startswith("https://raw.githubusercontent.com/") and data_set.source.endswith(name)
        assert set(data_set.files) == {"train.txt", "test.txt"}
        assert all(len(blob) == 40 for blob in data_set.files.values())


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "file"), [("gowalla", "test.txt"), ("yelp2018", "train.txt"), ("yelp2018", "test.txt")]
)
def test_blob_ids_are_those_of_the_published_files(real_data, name, file):
    assert blob_id((real_data / name / file).read_bytes()) == CATALOGUE[name].files[file]
