"""Where encoders come from: installed, a folder, an import; and what the messages say where there is none."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from published_model import write_model

from multimargin.errors import ArgumentError
from multimargin.texts import encoders, find_encoder
from multimargin.texts.bert import BertEncoder


class Letters:
    """A class that is made without arguments, and then called."""

    def __call__(self, texts):
        return np.array([[len(text), 1.0] for text in texts])


@pytest.fixture
def without(monkeypatch):
    """Return a function that makes packages look as if they were not installed."""
    find = encoders.importlib.util.find_spec

    def hide(*names):
        monkeypatch.setattr(encoders.importlib.util, "find_spec", lambda name: None if name in names else find(name))

    return hide


def test_none_named_takes_the_installed_one_without_running_its_package(tmp_path, monkeypatch):
    package = tmp_path / encoders.PACKAGED
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('was run')")
    write_model(package / "model")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, encoders.PACKAGED, raising=False)
    assert isinstance(find_encoder(), BertEncoder)


def test_none_installed_says_what_to_install(without):
    without(encoders.PACKAGED)
    with pytest.raises(ArgumentError, match=r"Install one with pip install 'multimargin\[text\]', or name a folder"):
        find_encoder()


def test_a_folder_an_import_or_an_object(tmp_path):
    write_model(tmp_path / "model")
    assert isinstance(find_encoder(tmp_path / "model"), BertEncoder)
    assert isinstance(find_encoder(str(tmp_path / "model")), BertEncoder)
    assert find_encoder("toy:embed_letters")(["aab"])[0, :3].tolist() == [2, 1, 0]
    assert find_encoder(f"{__name__}:Letters")(["aab"]).tolist() == [[3, 1]]
    assert find_encoder(len) is len


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("all-MiniLM", r"be the folder of a model, or package.module:name; got 'all-MiniLM'. Install one with"),
        ("no_such_module:f", "Python says: No module named 'no_such_module'"),
        ("toy:no_such_name", "has no attribute 'no_such_name'"),
        (":f", "be something that can be imported"),
        ("toy:TINY", "be called with texts; got 'toy:TINY'. It is a list"),
    ],
)
def test_what_cannot_be_found_is_named(name, message):
    with pytest.raises(ArgumentError, match=message):
        find_encoder(name)


class TestOtherKinds:
    @pytest.fixture
    def folder(self, tmp_path):
        write_model(tmp_path / "model", model_type="mpnet")
        return tmp_path / "model"

    def test_need_sentence_transformers(self, folder, without):
        without("sentence_transformers")
        with pytest.raises(ArgumentError, match=r"It has model_type 'mpnet'. Install sentence-transformers"):
            find_encoder(folder)

    def stand_in(self, monkeypatch, make):
        module = ModuleType("sentence_transformers")
        module.SentenceTransformer = make
        module.__spec__ = SimpleNamespace(name="sentence_transformers")
        monkeypatch.setitem(sys.modules, "sentence_transformers", module)

    def test_are_read_by_it_from_the_folder_alone(self, folder, monkeypatch):
        asked = []

        class Model:
            def __init__(self, *arguments, **options):
                asked.append((arguments, options))

            def encode(self, texts, show_progress_bar):
                return np.array([[len(text)] for text in texts])

        self.stand_in(monkeypatch, Model)
        assert find_encoder(folder)(["ab", "abc"]).tolist() == [[2], [3]]
        assert asked == [((str(folder),), {"device": "cpu", "local_files_only": True})]

    def test_that_it_does_not_read_are_named(self, folder, monkeypatch):
        def fail(*arguments, **options):
            raise OSError("no such architecture\nmore")

        self.stand_in(monkeypatch, fail)
        with pytest.raises(ArgumentError, match=r"It says: no such architecture$"):
            find_encoder(folder)
