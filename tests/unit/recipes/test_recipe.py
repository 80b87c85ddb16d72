import pytest
import yaml

import multimargin as mm
from multimargin.data.splits import RandomPerUser
from multimargin.errors import ArgumentError, RecipeError
from multimargin.losses import (
    AdaptiveTemperatureLoss,
    BPRLoss,
    CosineContrastiveLoss,
    DecoupledSoftmaxLoss,
    GeneralizedBCELoss,
    GraphConstraintLoss,
    GroupedSoftmaxLoss,
    MultiMarginLoss,
    ReweightedSoftmaxLoss,
    SigmoidCrossEntropyLoss,
)
from multimargin.recipes.recipe import FOLDER, Recipe, describe, recipe_names, schema

PUBLISHED = [
    f"{data}-mf-{loss}-{n}" for data in ("gowalla", "yelp2018") for loss in ("mml", "ccl") for n in (10, 100, 800)
]
SIMPLEX = {"gowalla-simplex-ccl-2000": (0.8, 250.0, 1e-7), "yelp2018-simplex-ccl-1000": (1.0, 150.0, 1e-8)}
GRAPHS = {  # loss and its arguments, layers, similarity, batch size, the encoder's weight decay
    "gowalla-lightgcn-bpr": (BPRLoss, {}, 3, "dot", 2048, 1e-4),
    "gowalla-lightgcn-bsl": (ReweightedSoftmaxLoss, {"temperature": 0.12, "neg_weight": 0.84}, 1, "cosine", 2048, 1e-5),
    "gowalla-lightgcn-sl": (DecoupledSoftmaxLoss, {"temperature": 0.12}, 1, "cosine", 2048, 1e-5),
    "yelp2018-lightgcn-bsl": (
        ReweightedSoftmaxLoss,
        {"temperature": 0.15, "neg_weight": 1.12},
        3,
        "cosine",
        1024,
        1e-5,
    ),
    "yelp2018-lightgcn-sl": (DecoupledSoftmaxLoss, {"temperature": 0.15}, 3, "cosine", 1024, 1e-5),
    "yelp2018-simgcl-bpr": (BPRLoss, {}, 3, "dot", 2048, 1e-4),
    "yelp2018-xsimgcl-bpr": (BPRLoss, {}, 3, "dot", 2048, 1e-4),
}
SEQUENCES = {  # loss and negatives
    "ml-1m-sasrec-bce": (SigmoidCrossEntropyLoss, "uniform", 1),
    "ml-1m-sasrec-gbce": (GeneralizedBCELoss, "uniform", 64),
    "ml-1m-sasrec-mml": (MultiMarginLoss, "uniform", 64),
    "ml-1m-sasrec-ce": (DecoupledSoftmaxLoss, "all", None),
}
ULTRAGCN = {"neg_weight": 300.0, "neighbour_weight": 5e-4, "n_neighbours": 10}
BASELINES = {
    "gowalla-mf-bpr-1": (BPRLoss, {}, 2048, 1e-8),
    "yelp2018-mf-bpr-1": (BPRLoss, {}, 2048, 1e-8),
    "gowalla-mf-sl-800": (GroupedSoftmaxLoss, {"temperature": 0.08, "neg_weight": 1.0}, 1024, 2e-11),
    "gowalla-mf-bsl-800": (GroupedSoftmaxLoss, {"temperature": 0.08, "neg_weight": 1.22}, 1024, 2e-11),
    "yelp2018-mf-bsl-800": (GroupedSoftmaxLoss, {"temperature": 0.11, "neg_weight": 1.1}, 1024, 2.1e-5),
    "gowalla-mf-adaptau-1024": (
        AdaptiveTemperatureLoss,
        {"spread": 0.25, "quantile": 0.9, "warmup_epochs": 100},
        2048,
        2.5e-11,
    ),
    "yelp2018-mf-adaptau-1024": (
        AdaptiveTemperatureLoss,
        {"spread": 1.0, "quantile": None, "warmup_epochs": 100},
        2048,
        2.7e-5,
    ),
    "gowalla-mf-ultragcn-1500": (GraphConstraintLoss, ULTRAGCN | {"weights": [1e-6, 1.0, 1e-6, 1.0]}, 512, 2e-7),
    "yelp2018-mf-ultragcn-800": (GraphConstraintLoss, ULTRAGCN | {"weights": [1e-8, 1.0, 1e-8, 1.0]}, 1024, 1e-7),
    "yelp2018-mf-sl-800": (DecoupledSoftmaxLoss, {"temperature": 0.11, "correct_log_q": True}, 1024, 2.1e-5),
}


UNTRAINED = {
    f"{data}-{name}": (data, kind)
    for data in ("gowalla", "yelp2018")
    for name, kind in {
        "als": mm.ALS, "chebycf": mm.ChebyCF, "ease": mm.EASE, "gfcf": mm.GFCF, "itemknn": mm.ItemKNN,
        "popularity": mm.MostPopular, "slim": mm.SLIM,
    }.items()
    if (data, name) != ("yelp2018", "chebycf")  # not published
}  # fmt: skip


def test_published_settings_are_shipped():
    ours = {"demo", "mf-mml", "mf-ccl", "mf-bpr", "gowalla-fast", "gowalla-mf-mml-all", "yelp2018-mf-mml-all"}
    known = set(PUBLISHED) | set(SIMPLEX) | set(BASELINES) | set(GRAPHS) | set(SEQUENCES) | set(UNTRAINED) | ours
    assert known == set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
class TestEveryShippedRecipe:
    def test_opens_with_the_command_that_runs_it(self, name):
        first = (FOLDER / f"{name}.yaml").read_text().splitlines()[0]
        assert first == ("# multimargin demo" if name == "demo" else f"# multimargin fit {name} --data PATH")

    def test_builds(self, name):
        objects = Recipe.load(name).build()
        if name in UNTRAINED:
            assert type(objects.encoder) is UNTRAINED[name][1]
            return
        of_our_own = {"mf-bpr": (BPRLoss,), "mf-ccl": (CosineContrastiveLoss,)}
        expected = CosineContrastiveLoss if "-ccl-" in name else MultiMarginLoss
        assert type(objects.loss) is (of_our_own | BASELINES | GRAPHS | SEQUENCES).get(name, (expected,))[0]

    def test_reads_back_as_it_was_written(self, name, tmp_path):
        recipe = Recipe.load(name)
        written = tmp_path / f"{name}.yaml"
        written.write_text(recipe.to_yaml())
        assert Recipe.load(written) == recipe
        assert list(recipe.values) == list(schema())


@pytest.mark.parametrize("data", ["gowalla", "yelp2018"])
def test_all_negatives_are_the_published_setting_but_for_what_is_said(data):
    expected = ["negatives", "n_negatives", "learning_rate"] + ["batch_size"] * (data == "gowalla")  # 512 on both
    published, everything = (Recipe.load(f"{data}-mf-mml-{n}") for n in ("800", "all"))
    assert everything.differences(published) == expected
    assert everything.values["n_negatives"] is None


@pytest.mark.parametrize("name", sorted(SIMPLEX))
def test_settings_of_simplex(name):
    values = Recipe.load(name).values
    assert values["n_negatives"] == int(name.rpartition("-")[2])
    found = values["encoder"]["gamma"], values["loss"]["neg_weight"], values["weight_decay"]
    assert found == SIMPLEX[name]
    assert (values["protocol"], values["learning_rate"], values["loss"]["margin"]) == ("paper", 1e-4, 0.9)


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_settings_of_baselines(name):
    values = Recipe.load(name).values
    data, _, _, n = name.split("-")
    loss, arguments, batch_size, weight_decay = BASELINES[name]
    assert (values["data"], values["protocol"], values["n_negatives"]) == (data, "paper", int(n))
    assert {key: value for key, value in values["loss"].items() if key != "name"} == arguments
    assert values["encoder"]["similarity"] == ("dot" if loss in (BPRLoss, GraphConstraintLoss) else "cosine")
    assert (values["batch_size"], values["weight_decay"]) == (batch_size, weight_decay)
    assert values["stopping"] == {"patience": 50}


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_settings_of_graph_encoders(name):
    values, (_, arguments, layers, similarity, batch_size, weight_decay) = Recipe.load(name).values, GRAPHS[name]
    encoder, loss = values["encoder"], {key: value for key, value in values["loss"].items() if key in arguments}
    assert (values["data"], encoder["name"], values["protocol"]) == (*name.split("-")[:2], "paper")
    assert (loss, encoder["layers"], encoder["similarity"]) == (arguments, layers, similarity)
    assert (values["batch_size"], encoder["weight_decay"], values["weight_decay"]) == (batch_size, weight_decay, 0.0)
    assert (values["learning_rate"], values["dropout"], values["clip_norm"]) == (1e-3, 0.0, None)
    if similarity == "cosine":
        assert (encoder["ranks_by"], values["negatives"]["name"]) == ("dot", "in-batch")
    else:
        assert values["n_negatives"] == 1


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_settings_of_sequences(name):
    values, (_, negatives, n) = Recipe.load(name).values, SEQUENCES[name]
    assert (values["protocol"], values["split"]["name"]) == ("honest", "leave-last-out")
    assert values["encoder"]["name"] == "sasrec"
    assert (values["negatives"]["name"], values["n_negatives"]) == (negatives, n)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values(name):
    values = Recipe.load(name).values
    data, _, loss, n = name.split("-")
    gowalla = data == "gowalla"
    assert (values["data"], values["protocol"], values["n_negatives"]) == (data, "paper", int(n))
    assert values["learning_rate"] == 1e-4
    assert values["batch_size"] == (256 if gowalla else 512)
    assert values["weight_decay"] == (1e-8 if gowalla else 1e-9)
    assert values["encoder"] == {"name": "mf", "embedding_dim": 64, "similarity": "cosine", "init_std": 1e-4}
    assert (values["clip_norm"], values["dropout"], values["epochs"], values["seed"]) == (10.0, 0.1, 100, 2019)
    assert values["metric"] == "Recall@20"
    if loss == "ccl":
        expected = {"name": "cosine-contrastive", "margin": 0.9, "pos_weight": 1.0, "neg_weight": 150.0}
        assert values["stopping"]["patience"] == 3
        assert values["schedule"]["factor"] == 0.1
        assert values["schedule"]["min_learning_rate"] == 1e-6
        assert values["schedule"]["restore_best"] is True
    else:
        expected = {
            "name": "multi-margin",
            "margins": [0.7, 0.8, 0.9] if gowalla else [0.6, 0.7, 0.8, 0.9],
            "margin_weights": [0.1, 0.15, 0.75] if gowalla else [0.05, 0.15, 0.2, 0.6],
            "pos_weight": 1.0,
            "neg_weight": 700.0 if gowalla else 400.0,
        }
        assert values["stopping"] is None
        assert values["schedule"] is None
    assert values["loss"] == expected


class TestOverrides:
    def test_values_are_yaml(self):
        values = Recipe.load(
            "mf-mml", ["loss.margins=[.5,.6,.7]", "learning_rate=1e-3", "clip_norm=null", "epochs=5"]
        ).values
        assert values["loss"]["margins"] == [0.5, 0.6, 0.7]
        assert (values["learning_rate"], values["clip_norm"], values["epochs"]) == (1e-3, None, 5)

    @pytest.mark.parametrize("text", ["loss=bpr", "loss.name=bpr", "loss={name: bpr}"])
    def test_another_class_starts_from_its_own_defaults(self, text):
        recipe = Recipe.load("mf-mml", [text])
        assert recipe.values["loss"] == {"name": "bpr"}
        assert isinstance(recipe.build().loss, BPRLoss)

    def test_a_class_is_chosen_before_its_values(self):
        values = Recipe.load("mf-mml", ["loss.margin=.4", "loss=cosine-contrastive"]).values
        assert values["loss"]["margin"] == 0.4

    def test_a_part_that_was_off_is_turned_on(self):
        assert Recipe.load("gowalla-mf-mml-10", ["stopping.patience=7"]).values["stopping"]["patience"] == 7

    def test_classes_from_outside(self):
        recipe = Recipe.load("mf-mml", ["split=multimargin.data.splits:RandomPerUser"])
        assert recipe.values["split"] == {"name": "multimargin.data.splits:RandomPerUser", "valid": 0.1, "test": 0.2}
        assert isinstance(recipe.strategy(), RandomPerUser)

    def test_a_sampler_may_be_made_of_samplers(self):
        text = "negatives={name: mixed, samplers: [{name: uniform}, {name: shared, law: {name: popularity, beta: .5}}]}"
        recipe = Recipe.load("mf-mml", [text, "negatives.shares=[1, 3]"])
        first, second = recipe.values["negatives"]["samplers"]
        assert first == {"name": "uniform", "exclude_seen": False}
        assert second["law"] == {"name": "popularity", "beta": 0.5, "exclude_seen": False}
        mixed = recipe.build().negatives
        assert [type(each).__name__ for each in mixed.samplers] == ["UniformNegatives", "SharedNegatives"]
        assert mixed.samplers[1].law.beta == 0.5
        assert mixed.shares == (1.0, 3.0)
        with pytest.raises(RecipeError, match=r"Did you mean 'negatives\.beta'"):
            Recipe.load("mf-mml", ["negatives={name: shared, law: {name: popularity, betta: 1}}"])

    def test_metric_in_any_case(self):
        assert Recipe.load("mf-mml", ["metric=recall@50"]).values["metric"] == "Recall@50"

    def test_one_cut_off(self):
        assert Recipe.load("mf-mml", ["k=10", "metric=NDCG@10"]).values["k"] == [10]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("epoch=5", "'epoch' is unknown. Did you mean 'epochs'?"),
            ("loss.margin=[.7]", "'loss.margin' is unknown. Did you mean 'loss.margins'?"),
            ("margins=[.7]", "'margins' is unknown. Did you mean 'loss.margins'?"),
            ("stopping.patients=3", "Did you mean 'stopping.patience'?"),
            ("loss=multimargin", "Did you mean 'multi-margin'?"),
            ("loss=a.b:C", "loss must name a class that can be imported"),
            ("loss=math:pi", "loss must name a class"),
            ("loss=3", "loss must be a name"),
            ("epochs", "an override must read key=value; got 'epochs'"),
            ("loss.margins=[", "loss.margins must be given as YAML"),
            ("stopping=3", "stopping must be a mapping or null"),
            ("protocol=papr", "protocol must be one of honest, paper"),
            ("metric=Recal@20", "metric must be one of"),
            ("metric=Recall@10", "k=[20, 50]"),
            ("k=[]", "k must be a list"),
            ("read.users=a", "Did you mean 'read.user'?"),
        ],
    )
    def test_what_is_wrong_is_said(self, text, message):
        with pytest.raises(RecipeError) as caught:
            Recipe.load("mf-mml", [text])
        assert message in str(caught.value)

    def test_a_split_seed_is_no_less_than_0(self):
        with pytest.raises(ArgumentError, match="split_seed must be 0 or more; got -1"):
            Recipe.load("mf-mml", ["split_seed=-1"])

    def test_constructors_check_their_values(self):
        with pytest.raises(ArgumentError, match="margins must increase strictly"):
            Recipe.load("mf-mml", ["loss.margins=[.9,.8,.7]"]).build()


class TestFiles:
    def test_unknown_name_names_the_nearest(self):
        with pytest.raises(RecipeError, match="Did you mean 'gowalla-mf-mml-100'"):
            Recipe.load("gowalla-mf-mml-1000")

    def test_short_file_is_filled_in(self, tmp_path):
        path = tmp_path / "mine.yaml"
        path.write_text("loss: bpr\nlearning_rate: 1e-2\n")
        recipe = Recipe.load(path)
        assert recipe.name == "mine"
        assert recipe.values["learning_rate"] == 1e-2
        assert set(recipe.values) == set(schema())

    @pytest.mark.parametrize("text", ["- 1\n", "epochs: [\n", "epochs: 1\nepochs: 2\n", ""])
    def test_not_a_recipe(self, text, tmp_path):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        with pytest.raises(RecipeError):
            Recipe.load(path)

    def test_resolved_recipe_is_plain_yaml(self):
        assert yaml.safe_load(Recipe.load("demo").to_yaml())["loss"]["margins"] == [0.7, 0.8, 0.9]

    def test_differences_leave_out_where_the_data_lies(self):
        one, other = Recipe.load("mf-mml", ["data=a"]), Recipe.load("mf-mml", ["data=b", "epochs=3"])
        assert one.differences(other) == ["epochs"]


@pytest.mark.parametrize("kind", ["losses", "negatives", "encoders", "splits", "datasets", "recipes"])
def test_everything_that_can_be_chosen_has_one_line(kind):
    for name, line in describe(kind).items():
        assert name
        assert line
        assert "\n" not in line


def test_a_run_may_go_on_only_where_the_first_epochs_are_what_they_were():
    def goes_on(recipe, *changes):
        return Recipe.load(recipe, changes).goes_on_as(Recipe.load(recipe, [*changes, "epochs=200"]))

    assert goes_on("mf-mml", "epochs=100")
    assert not goes_on("mf-mml", "epochs=200")
    assert not goes_on("mf-mml", "epochs=300")
    assert not goes_on("mf-mml", "epochs=100", "decay=cosine")
    assert not Recipe.load("gowalla-ease").goes_on_as(Recipe.load("gowalla-ease"))
