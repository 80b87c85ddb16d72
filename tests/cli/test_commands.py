"""The real command on toy data: files, exit codes, messages."""

import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from toy import TINY, write_events

COMMAND = Path(sys.executable).with_name("multimargin")


class TestCommand:
    """The installed command, in a process of its own."""

    def test_version(self):
        done = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == __import__("multimargin").__version__
        assert done.stderr == ""

    def test_bad_input_exits_with_2(self):
        done = subprocess.run([COMMAND, "fit", "nothing-like-it"], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("error: recipe must be")
        assert done.stderr.count("\n") == 1

    def test_reader_that_leaves_is_no_error(self, trained):
        shell = f"{COMMAND} recommend {trained / 'run'} --k 20 | head -1"
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
        assert done.stdout == "user_id,item_id,score,rank\n"
        assert done.stderr == ""

    def test_starts_light(self):
        code = (
            "import sys; from multimargin.cli.main import run; run(['--help']); "
            "heavy = [name for name in ('torch', 'numba', 'polars', 'matplotlib') if name in sys.modules]; "
            "print(heavy, file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stderr.strip() == "[]"


def test_help_without_arguments(cli):
    result = cli()
    assert result.code == 0
    for command in ("demo", "list", "data", "fit", "compare", "evaluate", "recommend", "similar", "export"):
        assert command in result.out


@pytest.mark.parametrize("kind", ["losses", "negatives", "encoders", "splits", "datasets", "recipes"])
def test_list(cli, kind):
    result = cli("list", kind)
    assert (result.code, result.err) == (0, "")
    names = [line.split()[0] for line in result.out.splitlines() if not line.startswith(" ")]
    found = json.loads(cli("list", kind, "--json").out)
    assert names == list(found)
    assert all(each["description"] for each in found.values())


def test_list_says_what_a_loss_needs_and_where_it_comes_from(cli):
    found = json.loads(cli("list", "losses", "--json").out)
    assert found["grouped-softmax"]["needs"] == ["scores", "user ids"]
    assert "junkangwu/BSL" in found["grouped-softmax"]["source"]
    lines = cli("list", "negatives").out.splitlines()
    after = lines[[line.split()[0] for line in lines].index("popularity") + 1]
    assert after.split()[:2] == ["needs", "counts;"]
    assert "arXiv 1310.4546" in after


def test_a_class_of_the_folder_one_is_in_is_found(events, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from multimargin.losses.bpr import BPRLoss\n\n\nclass Mine(BPRLoss):\n    pass\n"
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "command.py").write_text("from multimargin.cli.main import main\n\nmain()\n")
    arguments = ["fit", "mf-mml", "--data", str(events), "--run", "run", "loss=mine:Mine", *TINY]
    done = subprocess.run(
        [sys.executable, "bin/command.py", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "mine:Mine" in (tmp_path / "run" / "recipe.yaml").read_text()


class TestData:
    def test_describe(self, cli, events):
        result = cli("data", "describe", events, "--json")
        assert result.code == 0
        assert json.loads(result.out)["log"]["users"] == 40
        assert "40 users" in cli("data", "describe", events).out

    def test_check(self, cli, events):
        result = cli("data", "check", events)
        assert (result.code, result.err) == (0, "")

    def test_columns_by_option(self, cli, tmp_path):
        (tmp_path / "odd.csv").write_text("who;what\na;x\nb;y\n")
        arguments = ["data", "describe", tmp_path / "odd.csv", "--json", "--separator", ";", "--header"]
        by_name = cli(*arguments, "--user", "who", "--item", "what")
        by_place = cli(*arguments, "--user", "0", "--item", "1")
        assert json.loads(by_name.out)["log"]["interactions"] == 2
        assert by_name.out == by_place.out

    def test_fetch_offline_says_what_to_put_where(self, cli, tmp_path, monkeypatch):
        from multimargin.data import catalogue

        absent = (tmp_path / "absent").as_uri()
        entry = catalogue.CATALOGUE["gowalla"]
        monkeypatch.setitem(catalogue.CATALOGUE, "gowalla", type(entry)(**{**vars(entry), "source": absent}))
        result = cli("data", "fetch", "gowalla", "--cache", tmp_path / "cache")
        assert result.code == 2
        assert str(tmp_path / "cache" / "gowalla" / "train.txt") in result.err


class TestRun:
    def test_folder(self, trained):
        run = trained / "run"
        names = {path.name for path in run.iterdir()}
        assert names >= {"recipe.yaml", "info.json", "metrics.jsonl", "evaluation.json", "model", "checkpoints"}
        info = json.loads((run / "info.json").read_text())
        assert info["recipe"] == "mf-mml"
        assert info["protocol"] == "honest"
        assert info["ended"] == "finished"
        assert len(info["data_hash"]) == len(info["split_hash"]) == 64
        assert info["peak_memory_mib"] > 0
        assert info["wall_seconds"] > 0
        assert {"python", "multimargin", "torch", "numba"} <= set(info["versions"])
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert [row["epoch"] for row in rows] == [1, 2]
        assert all({"loss", "train_seconds", "eval_seconds", "NDCG@5", "Recall@5"} <= set(row) for row in rows)
        assert (run / "plots" / "learning-curve.svg").exists()
        assert not [path for path in run.rglob("*") if path.name.endswith(".tmp")]

    def test_evaluate_repeats_the_numbers(self, cli, trained):
        written = json.loads((trained / "run" / "evaluation.json").read_text())
        result = cli("evaluate", trained / "run", "--json")
        assert result.code == 0
        found = json.loads(result.out)
        assert found["protocol"] == "honest"
        assert found == {key: written[key] for key in found}
        assert {"Recall@5", "NDCG@5"} <= set(found)

    def test_evaluate_at_other_cut_offs(self, cli, trained):
        found = json.loads(cli("evaluate", trained / "run", "--k", "3,10", "--json").out)
        assert {"Recall@3", "Recall@10"} <= set(found)
        assert (
            "Recall@3" in cli("evaluate", trained / "run", "--k", "3").out
            or "@3" in cli("evaluate", trained / "run", "--k", "3").out
        )

    def test_evaluate_data_that_was_moved(self, cli, trained):
        moved = (trained / "events.csv").rename(trained / "moved.csv")
        before = json.loads((trained / "run" / "evaluation.json").read_text())
        after = json.loads(cli("evaluate", trained / "run", "--data", moved, "--json").out)
        assert after["NDCG@5"] == before["NDCG@5"]

    def test_evaluate_other_held_out_interactions(self, cli, trained):
        (trained / "later.csv").write_text("user_id,item_id\nu00,i01\nu01,i02\nnobody,i03\n")
        result = cli("evaluate", trained / "run", "--data", trained / "later.csv", "--json")
        assert result.code == 0
        assert json.loads(result.out)["users"] == 2
        assert "not in training" in result.out

    @pytest.mark.parametrize(
        ("suffix", "read"), [(".parquet", pl.read_parquet), (".csv", pl.read_csv), (".jsonl", pl.read_ndjson)]
    )
    def test_recommend_to_a_file(self, cli, trained, suffix, read):
        path = trained / f"recs{suffix}"
        result = cli("recommend", trained / "run", "--k", 5, "-o", path)
        assert (result.code, result.out) == (0, "")
        frame = read(path)
        assert frame.columns == ["user_id", "item_id", "score", "rank"]
        assert frame["user_id"].n_unique() == 40
        assert frame["rank"].to_list()[:5] == [1, 2, 3, 4, 5]

    def test_lists_repeat_nothing_that_is_known(self, cli, trained):
        cli("recommend", trained / "run", "--k", 5, "-o", trained / "recs.csv")
        known = set(pl.read_csv(trained / "events.csv").select("user_id", "item_id").iter_rows())
        listed = set(pl.read_csv(trained / "recs.csv").select("user_id", "item_id").iter_rows())
        assert not known & listed
        cli("recommend", trained / "run", "--k", 5, "--no-exclude-seen", "-o", trained / "recs.csv")
        assert known & set(pl.read_csv(trained / "recs.csv").select("user_id", "item_id").iter_rows())

    def test_some_users_by_id_or_file(self, cli, trained):
        (trained / "users.txt").write_text("user_id\nu03\nu01\n")
        by_id = cli("recommend", trained / "run", "--users", "u03,u01", "--k", 2)
        by_file = cli("recommend", trained / "run", "--users", trained / "users.txt", "--k", 2)
        assert by_id.out == by_file.out
        assert [line.split(",")[0] for line in by_id.out.splitlines()[1:]] == ["u03", "u03", "u01", "u01"]

    def test_similar(self, cli, trained):
        result = cli("similar", trained / "run", "--items", "i00,i01", "--k", 3)
        assert result.code == 0
        assert len(result.out.splitlines()) == 7

    def test_export(self, cli, trained):
        result = cli("export", trained / "run", "--to", trained / "export")
        assert result.code == 0
        assert all(Path(line).exists() for line in result.out.splitlines())
        assert result.out

    def test_load_from_python(self, trained):
        import multimargin as mm

        assert (
            mm.load(trained / "run")
            .recommend("u00", k=1)
            .equals(mm.load(trained / "run" / "model").recommend("u00", k=1))
        )


class TestFit:
    def test_prints_numbers_and_what_comes_next(self, cli, events, tmp_path):
        result = cli("fit", "mf-mml", "--data", events, "--run", tmp_path / "run", *TINY)
        assert result.code == 0
        assert "honest" in result.out
        assert f"multimargin recommend {tmp_path / 'run'}" in result.out

    def test_default_folder_and_json(self, cli, events, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = cli("fit", "mf-mml", "--data", "events.csv", "--json", *TINY)
        assert json.loads(result.out)["run"] == "runs/mf-mml"
        assert (tmp_path / "runs" / "mf-mml" / "model").is_dir()

    def test_same_seed_same_numbers_whatever_the_threads(self, cli, events, tmp_path):
        for threads in (1, 2):
            cli("fit", "mf-mml", "--data", events, "--run", tmp_path / f"{threads}", "--threads", threads, *TINY)
        one, two = (json.loads((tmp_path / each / "evaluation.json").read_text()) for each in "12")
        assert one == two

    def test_a_finished_run_resumes_to_itself(self, cli, trained):
        before = (trained / "run" / "evaluation.json").read_text()
        result = cli("fit", "mf-mml", "--data", trained / "events.csv", "--run", trained / "run", "--resume", *TINY)
        assert result.code == 0
        assert (trained / "run" / "evaluation.json").read_text() == before
        assert "extended_at" not in json.loads((trained / "run" / "info.json").read_text())

    def test_a_finished_run_goes_on_to_more_epochs_and_says_so(self, cli, trained, tmp_path):
        fit = ["fit", "mf-mml", "--data", trained / "events.csv", *TINY]
        assert cli(*fit, "epochs=5", "--run", trained / "run", "--resume").code == 0
        assert cli(*fit, "epochs=5", "--run", tmp_path / "whole").code == 0
        one, whole = (Path(each) for each in (trained / "run", tmp_path / "whole"))
        for name in ("evaluation.json", "recipe.yaml"):
            assert (one / name).read_text() == (whole / name).read_text()
        info = json.loads((one / "info.json").read_text())
        assert (info["epochs"], info["extended_at"], info["ended"]) == (5, [2], "finished")
        assert cli(*fit, "--run", trained / "run", "--resume").code == 2  # not back again
        assert json.loads((one / "info.json").read_text()) == info

    def test_a_run_that_goes_on_has_no_numbers_of_fewer_epochs(self, cli, trained, monkeypatch):
        """Die in the first of the epochs that were added."""
        from multimargin.evaluate import Evaluator

        def die(*_arguments, **_options):
            raise RuntimeError("killed")

        more = ["fit", "mf-mml", "--data", trained / "events.csv", *TINY, "epochs=5", "--run", trained / "run"]
        with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
            patch.setattr(Evaluator, "__call__", die)
            cli(*more, "--resume")
        assert not (trained / "run" / "evaluation.json").exists()
        assert json.loads((trained / "run" / "info.json").read_text())["ended"] == "running"
        assert cli(*more, "--resume").code == 0
        assert json.loads((trained / "run" / "info.json").read_text())["extended_at"] == [2]

    def test_killed_and_resumed_is_as_never_killed(self, cli, trained, events, tmp_path, monkeypatch):
        """Die in the second epoch, with the first in the checkpoint."""
        from multimargin.evaluate import Evaluator
        from multimargin.train import loop

        calls = []
        evaluate = Evaluator.__call__

        def die_at_second(self, *arguments, **options):
            calls.append(1)
            if len(calls) == 2:
                raise RuntimeError("killed")
            return evaluate(self, *arguments, **options)

        fit = ["fit", "mf-mml", "--data", events, "--run", tmp_path / "run", *TINY]
        with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
            patch.setattr(loop, "_CHECKPOINT_SECONDS", 0.0)
            patch.setattr(Evaluator, "__call__", die_at_second)
            cli(*fit)
        assert cli(*fit, "--resume").code == 0
        whole, resumed = (json.loads((each / "run" / "evaluation.json").read_text()) for each in (trained, tmp_path))
        assert whole == resumed

    def test_interrupted_run_can_be_used_and_continued(self, cli, events, tmp_path, monkeypatch):
        from multimargin.evaluate import Evaluator

        calls = []
        evaluate = Evaluator.__call__

        def interrupt_at_second(self, *arguments, **options):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return evaluate(self, *arguments, **options)

        fit = ["fit", "mf-mml", "--data", events, "--run", tmp_path / "run", *TINY]
        with monkeypatch.context() as patch:
            patch.setattr(Evaluator, "__call__", interrupt_at_second)
            result = cli(*fit)
        assert result.code == 130
        assert "--resume" in result.err
        assert result.err.count("error:") == 1
        assert cli("recommend", tmp_path / "run", "--users", "u00").code == 0
        assert not (tmp_path / "run" / "evaluation.json").exists()  # test data is read once, at the end
        assert cli(*fit, "--resume").code == 0
        assert (tmp_path / "run" / "evaluation.json").exists()

    def test_interrupted_at_once_leaves_nothing(self, cli, events, tmp_path, monkeypatch):
        from multimargin.evaluate import Evaluator

        def interrupt(*_arguments, **_options):
            raise KeyboardInterrupt

        monkeypatch.setattr(Evaluator, "__call__", interrupt)
        result = cli("fit", "mf-mml", "--data", events, "--run", tmp_path / "a" / "run", *TINY)
        assert result.code == 130
        assert result.err.splitlines()[-1].startswith("error: interrupted")
        assert not (tmp_path / "a").exists()


class TestProtocols:
    @pytest.fixture
    def parts(self, tmp_path):
        """A folder of LightGCN parts; user 3 has no test items."""
        folder = tmp_path / "parts"
        folder.mkdir()
        train, test = [], []
        for user in range(30):
            own = [item for item in range(24) if item % 2 == user % 2]
            own = own[user % 12 :] + own[: user % 12]
            train.append(" ".join(map(str, [user, *sorted(own[:9])])))
            test.append(" ".join(map(str, [user, *sorted(own[9:] if user != 3 else [])])))
        (folder / "train.txt").write_text("\n".join(train) + "\n")
        (folder / "test.txt").write_text("\n".join(test) + "\n")
        return folder

    def fit(self, cli, parts, run, *more):
        result = cli("fit", "gowalla-mf-mml-10", "--data", parts, "--run", run, *TINY, *more)
        assert result.code == 0, result.err
        return result

    def test_paper_is_written_on_every_number(self, cli, parts, tmp_path):
        run = tmp_path / "run"
        result = self.fit(cli, parts, run)
        assert "paper" in result.out
        assert json.loads((run / "evaluation.json").read_text())["protocol"] == "paper"
        assert json.loads((run / "info.json").read_text())["protocol"] == "paper"
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert all(row["protocol"] == "paper" for row in rows)
        assert "paper" in (run / "plots" / "learning-curve.svg").read_text()
        assert json.loads(cli("evaluate", run, "--json").out)["protocol"] == "paper"
        assert "paper" in cli("evaluate", run).out

    def test_paper_selects_on_the_test_file(self, cli, parts, tmp_path):
        run = tmp_path / "run"
        self.fit(cli, parts, run)
        final = json.loads((run / "evaluation.json").read_text())
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert max(row["NDCG@5"] for row in rows) == final["NDCG@5"]
        assert (final["users"], final["skipped"]) == (29, 1)

    def test_honest_twin_carves_validation_out_of_train(self, cli, parts, tmp_path):
        paper, honest = tmp_path / "paper", tmp_path / "honest"
        self.fit(cli, parts, paper)
        result = self.fit(cli, parts, honest, "protocol=honest")
        assert "paper" not in result.out
        infos = [json.loads((run / "info.json").read_text()) for run in (paper, honest)]
        assert infos[0]["interactions"] == 270
        assert infos[1]["interactions"] == 240  # one in nine of each user
        assert infos[0]["data_hash"] == infos[1]["data_hash"]
        rows = [json.loads(line) for line in (honest / "metrics.jsonl").read_text().splitlines()]
        assert all(row["protocol"] == "honest" for row in rows)

    def test_parts_for_a_recipe_of_one_log_are_split_anew(self, cli, parts, tmp_path):
        result = cli("fit", "mf-mml", "--data", parts, "--run", tmp_path / "run", *TINY)
        assert result.code == 0
        assert "split=given" in result.err


def test_ids_may_be_text_or_integers(cli, tmp_path):
    write_events(tmp_path / "text.csv")
    numbers = re.sub(r"\b[ui](\d)", r"1\1", (tmp_path / "text.csv").read_text())
    (tmp_path / "numbers.csv").write_text(numbers)
    for name in ("text", "numbers"):
        assert cli("fit", "mf-mml", "--data", tmp_path / f"{name}.csv", "--run", tmp_path / name, *TINY).code == 0
    text, number = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("text", "numbers"))
    assert text == number
    frame = cli("recommend", tmp_path / "numbers", "--users", "100", "--k", 1).out.splitlines()[1]
    assert frame.split(",")[0] == "100"


class TestEmbed:
    @pytest.fixture
    def titles(self, tmp_path):
        rows = [f"i{item:02d},{'tea' if item % 2 else 'coffee'} no. {item}" for item in range(25)]
        (tmp_path / "items.csv").write_text("\n".join(["item_id,title", *rows]) + "\n")
        return tmp_path / "items.csv"

    def test_titles_become_vectors_that_negatives_take(self, cli, events, titles, tmp_path):
        vectors = tmp_path / "vectors.parquet"
        result = cli("data", "embed", titles, "-o", vectors, "--encoder", "toy:embed_letters")
        assert (result.code, result.err) == (0, "")
        assert result.out == f"25 vectors of 26 dimensions written to {vectors}\n"
        assert pl.read_parquet(vectors)["item_id"].to_list() == [f"i{item:02d}" for item in range(25)]
        semantic = ["negatives=semantic", f"negatives.item_vectors={vectors}", "negatives.nearest=5"]
        run = cli("fit", "mf-mml", "--data", events, "--run", tmp_path / "run", *TINY, *semantic, "--json")
        assert run.code == 0, run.err
        assert f"item_vectors: {vectors}" in (tmp_path / "run" / "recipe.yaml").read_text()

    def test_columns_by_option(self, cli, tmp_path):
        (tmp_path / "odd.txt").write_text("key;a;b\nx;aa;b\ny;;bb\n")
        arguments = ["--item", "key", "--text", "b,a", "--separator", ";", "--encoder", "toy:embed_letters", "--json"]
        result = cli("data", "embed", tmp_path / "odd.txt", "--to", tmp_path / "v.parquet", *arguments)
        assert json.loads(result.out) == {"file": str(tmp_path / "v.parquet"), "items": 2, "dimensions": 26}
        assert pl.read_parquet(tmp_path / "v.parquet")["vector"].to_numpy()[:, :2].tolist() == [[2, 1], [0, 2]]

    def test_no_encoder_is_one_line_that_says_what_to_install(self, cli, titles, tmp_path, monkeypatch):
        from multimargin.texts import encoders

        monkeypatch.setattr(encoders, "PACKAGED", "no_such_package")
        result = cli("data", "embed", titles, "-o", tmp_path / "v.parquet")
        assert (result.code, result.out) == (2, "")
        assert result.err.count("\n") == 1
        assert "pip install 'multimargin[text]'" in result.err
        assert not (tmp_path / "v.parquet").exists()

    def test_a_broken_table_is_one_line(self, cli, titles, tmp_path):
        result = cli("data", "embed", titles, "-o", tmp_path / "v.parquet", "--text", "no")
        assert result.code == 2
        assert result.err.startswith(f"error: {titles}: text must name a column; there is no 'no'. The columns there:")
