"""Tables of titles, and files of vectors from them."""

import gzip

import numpy as np
import polars as pl
import pytest
from toy import embed_letters

from multimargin.errors import ArgumentError, DataError
from multimargin.texts import embed_items
from multimargin.texts.tables import read_texts

CSV = 'itemId,title,genre\n7,"Heat, the",crime\n8,Toy Story,\n'


def write(path, content):
    path.write_text(content)
    return path


class TestTables:
    def test_csv_with_quotes(self, tmp_path):
        ids, texts = read_texts(write(tmp_path / "i.csv", CSV))
        assert (ids.to_list(), texts) == (["7", "8"], ["Heat, the", "Toy Story"])

    def test_recbole_whose_titles_hold_quotes(self, tmp_path):
        content = 'item_id:token\tmovie_title:token_seq\tclass:token_seq\n7\t"Heat" it\tcrime\n007\tb\tc d\n'
        ids, texts = read_texts(write(tmp_path / "x.item", content))
        assert (ids.to_list(), texts) == (["7", "007"], ['"Heat" it', "b"])
        assert read_texts(tmp_path / "x.item", text=["class", "movie_title"])[1] == ['crime "Heat" it', "c d b"]

    def test_columns_by_name_and_separator(self, tmp_path):
        write(tmp_path / "i.dat", "key;words\na;x\n")
        ids, texts = read_texts(tmp_path / "i.dat", item="key", text=["words"], separator=";")
        assert (ids.to_list(), texts) == (["a"], ["x"])

    def test_a_missing_text_is_empty(self, tmp_path):
        write(tmp_path / "i.csv", CSV)
        assert read_texts(tmp_path / "i.csv", text=["genre"])[1] == ["crime", ""]
        assert read_texts(tmp_path / "i.csv", text=["title", "genre"])[1] == ["Heat, the crime", "Toy Story"]

    def test_parquet_keeps_integers(self, tmp_path):
        pl.DataFrame({"name": ["b", None], "movie_id": [3, 4]}).write_parquet(tmp_path / "i.parquet")
        ids, texts = read_texts(tmp_path / "i.parquet")
        assert (ids.to_list(), texts) == ([3, 4], ["b", ""])

    def test_compressed(self, tmp_path):
        with gzip.open(tmp_path / "i.csv.gz", "wt") as file:
            file.write(CSV)
        assert read_texts(tmp_path / "i.csv.gz")[1] == ["Heat, the", "Toy Story"]

    @pytest.mark.parametrize(
        ("content", "options", "message"),
        [
            ("a,title\n1,x\n", {}, "must name a column of items; none has a usual name"),
            (
                "item,words\n1,x\n",
                {},
                "must name a column of texts; none has a usual name. Name it with text=... . The",
            ),
            (CSV, {"item": "no"}, "item must name a column; there is no 'no'. The columns there: itemId, title, genre"),
            (CSV, {"text": ["title", "no"]}, "text must name a column; there is no 'no'"),
            ("item,title\n1,x\n2,y\n1,z\n", {}, "row 1 below the header: an item must have an id of its own; got '1'"),
            ("item,title\n1,x\n,y\n", {}, "row 2 below the header: an item must have an id; got None"),
            ("item,title\n1,x\nnan,y\n", {}, "row 2 below the header: an item must have an id; got 'nan'"),
            ("item,title\n1,\n2,\n", {}, "title must hold texts; all are empty"),
            ("item,title\n1,x,y,z\n", {}, "must be a table"),
            ("", {}, "must be a table"),
        ],
    )
    def test_what_is_broken_is_named(self, tmp_path, content, options, message):
        with pytest.raises(DataError, match=message):
            read_texts(write(tmp_path / "i.csv", content), **options)

    def test_files_are_named(self, tmp_path):
        with pytest.raises(DataError, match="must be an existing file"):
            read_texts(tmp_path / "no.csv")
        with pytest.raises(DataError, match=r"must end in .csv, .tsv, .item, .txt, .parquet, .pq, or its separator"):
            read_texts(write(tmp_path / "i.dat", CSV))


class TestEmbed:
    def embed(self, tmp_path, content=CSV, **options):
        told = []
        options = {"encoder": embed_letters, "progress": lambda *each: told.append(each), **options}
        done = embed_items(write(tmp_path / "i.csv", content), tmp_path / "v.parquet", **options)
        return done, told, pl.read_parquet(tmp_path / "v.parquet")

    def test_a_vector_for_each_item_and_0_without_text(self, tmp_path, monkeypatch):
        monkeypatch.setattr("multimargin.texts.embed._PIECE", 2)
        done, told, frame = self.embed(tmp_path, "item,title\n7,abca\n8,\n9,bb\n10,c\n")
        assert (done, told) == ((4, 26), [(2, 3), (3, 3)])
        assert frame["item_id"].to_list() == ["7", "8", "9", "10"]
        assert frame["vector"].to_numpy()[:, :3].tolist() == [[2, 1, 1], [0, 0, 0], [0, 2, 0], [0, 0, 1]]

    @pytest.mark.parametrize(
        ("encoder", "message"),
        [
            (lambda texts: np.ones((len(texts) + 1, 3)), "give one finite vector for each of 2 texts; got 'shape"),
            (lambda texts: np.ones(len(texts)), "give one finite vector"),
            (lambda texts: np.full((len(texts), 2), np.nan), "finite False"),
        ],
    )
    def test_an_encoder_that_does_not_do_so_is_named(self, tmp_path, encoder, message):
        with pytest.raises(ArgumentError, match=message):
            self.embed(tmp_path, encoder=encoder)
        assert not (tmp_path / "v.parquet").exists()

    def test_the_suffix_is_looked_at_first(self, tmp_path):
        with pytest.raises(ArgumentError, match=r"must end in .parquet; got 'v.npy'"):
            embed_items(tmp_path / "no.csv", tmp_path / "v.npy")
