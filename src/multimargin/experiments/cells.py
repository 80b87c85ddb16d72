"""Cells of published tables: a name such as gowalla-mf-mml-100 becomes a recipe; a table is a list of such names.

The grid is the one of Ozsoy, arXiv 2405.04614: data sets, encoders, losses, numbers of negatives. A cell that ships as
a recipe is that recipe. Any other is made of the shipped recipe nearest to it, and says what was changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from multimargin import checks
from multimargin.data.catalogue import CATALOGUE
from multimargin.experiments.published import published
from multimargin.recipes.recipe import FOLDER, Recipe, recipe_names

DATA = ("gowalla", "yelp2018")
GRID_ENCODERS = ("mf", "simplex", "lightgcn")
GRID_NEGATIVES = (10, 50, 100, 200, 400, 800)
GRID_LOSSES = ("mse", "pairwise-logistic", "pairwise-margin", "sigmoid-ce", "softmax-ce", "ccl", "bsl", "mml")

_SIMPLEX = {"gowalla": "gowalla-simplex-ccl-2000", "yelp2018": "yelp2018-simplex-ccl-1000"}
_MML_SETTINGS = (
    "Rate, batch, L2 and epochs are those of MML's notebooks, as for all losses of its pipeline; that the paper tuned "
    "nothing else for this loss is unverified."
)
_ON_COSINES = "As in RecBox @6af132f, on plain cosines without a temperature, which handicaps it."

# loss of RecBox -> its values for N negatives, and what to know of it
_RECBOX: dict[str, tuple[Callable[[int], dict[str, Any]], str]] = {
    "mse": (lambda n: {"name": "mean-squared-error", "neg_weight": float(n)}, "As in RecBox @6af132f."),
    "pairwise-logistic": (lambda _: {"name": "bpr"}, _ON_COSINES),
    "pairwise-margin": (
        lambda _: {"name": "pairwise-margin", "margin": 0.9},
        "As in RecBox @6af132f, with the margin .9 that MML's pipeline hands it.",
    ),
    "sigmoid-ce": (
        lambda n: {"name": "sigmoid-cross-entropy", "temperature": 1.0, "neg_weight": float(n)},
        f"{_ON_COSINES} There it is summed over the batch: clipping and L2 are divided by the batch size here.",
    ),
    "softmax-ce": (
        lambda n: {"name": "sampled-softmax", "temperature": 1.0, "neg_weight": float(n)},
        _ON_COSINES,
    ),
}


@dataclass(frozen=True)
class Cell:
    """One entry of a table.

    Args:
        name: data set, encoder, loss and negatives, joined by "-"; for a baseline data set and baseline.
        recipe: its published settings, or those nearest to them.
        remark: where these settings come from and what in them is not published.
    """

    name: str
    recipe: Recipe
    remark: str

    @property
    def data(self) -> str:
        """The catalogue's name of the data set."""
        return self.name.partition("-")[0]

    @property
    def encoder(self) -> str:
        """How tables call the encoder or baseline."""
        return self.name.split("-")[1]

    @property
    def loss(self) -> str:
        """How tables call the loss; "-" for a baseline."""
        words = self.name.split("-")[2:]
        return "-".join(words[:-1] if words and words[-1].isdigit() else words) or "-"

    @property
    def n_negatives(self) -> int | str:
        """N, the sampler's name where it takes none, or "-" for a baseline."""
        if not self.recipe.is_trained:
            return "-"
        number = self.recipe.values["n_negatives"]
        return str(self.recipe.values["negatives"]["name"]) if number is None else int(number)


@dataclass(frozen=True)
class Table:
    """A part of what is published that makes sense on its own.

    Args:
        name: as on the command line.
        description: a line on what it shows.
        cells: names, in the order of the rows.
    """

    name: str
    description: str
    cells: tuple[str, ...]


def tables() -> dict[str, Table]:
    """Return every table there is, by name."""
    made = (
        Table("mml-negatives", "MML against CCL at each number of negatives, MF", _grid(("mf",), ("ccl", "mml"))),
        Table("mml-losses", "eight losses at each number of negatives, MF", _grid(("mf",), GRID_LOSSES)),
        Table(
            "mml-encoders",
            "eight losses with MF, SimpleX and LightGCN at N = 100",
            _grid(GRID_ENCODERS, GRID_LOSSES, (100,)),
        ),
        Table(
            "mml-grid",
            "the whole grid of MML's paper: three encoders, eight losses, six N",
            _grid(GRID_ENCODERS, GRID_LOSSES),
        ),
        *(
            Table(f"{data}-best", f"every recipe for {data} with a published number", _with_numbers(data))
            for data in DATA
        ),
    )
    return {table.name: table for table in made}


def choose(names: Sequence[str], only: Sequence[str]) -> list[str]:
    """Return the names that a pattern fits: a name, part of one between dashes (``mml``, ``mf-ccl-10``), or a glob.

    Raises:
        ArgumentError: a pattern fits nothing; the message names the nearest.
    """
    for pattern in only:
        if not any(_fits(name, pattern) for name in names):
            words = {*names, *(word for name in names for word in name.split("-"))}
            near = checks.nearest(pattern, words) or f"The first is {names[0]}."
            checks.fail("only", "fit a cell of the table", pattern, near)
    return [name for name in names if not only or any(_fits(name, pattern) for pattern in only)]


def make_cell(name: str) -> Cell:
    """Return the cell of a name that a table holds."""
    if name in recipe_names():
        return Cell(name, Recipe.load(name), _comment(name))
    data, encoder, rest = name.split("-", 2)
    loss, _, number = rest.rpartition("-")
    base = _base(data, encoder, loss)
    values, remarks = _changed(data, encoder, loss, int(number), Recipe.load(base).values)
    return Cell(name, Recipe(name, Recipe.load(values).values), " ".join([*remarks, f"From {base}: {_comment(base)}"]))


def _grid(encoders: Sequence[str], losses: Sequence[str], numbers: Sequence[int] = GRID_NEGATIVES) -> tuple[str, ...]:
    return tuple(
        f"{data}-{encoder}-{loss}-{n}" for data in DATA for encoder in encoders for loss in losses for n in numbers
    )


def _with_numbers(data: str) -> tuple[str, ...]:
    return tuple(name for name in published() if name.startswith(f"{data}-"))


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(f"-{name}-", f"*-{pattern}-*")


def _base(data: str, encoder: str, loss: str) -> str:
    """Return the shipped recipe that is nearest."""
    if encoder == "simplex":
        return _SIMPLEX[data]
    if encoder == "lightgcn":
        return f"{data}-lightgcn-bsl"
    return f"{data}-mf-{loss}-800" if loss in ("ccl", "bsl") else f"{data}-mf-mml-100"


def _changed(data: str, encoder: str, loss: str, n: int, base: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a cell that does not ship, and what to know of them."""
    values, remarks = {**base, "n_negatives": n}, [f"N = {n} instead of what is named below."]
    if loss in _RECBOX:
        make, remark = _RECBOX[loss]
        values["loss"] = make(n)
        remarks = [remark, _MML_SETTINGS]
    elif (encoder, loss) not in (("simplex", "ccl"), ("lightgcn", "bsl")):
        values["loss"] = Recipe.load(f"{data}-mf-{loss}-{100 if loss == 'mml' else 800}").values["loss"]
    if encoder == "simplex" and loss != "ccl":
        values |= {"stopping": None, "schedule": None, "metric": "Recall@20"}
        remarks.append("No plateau schedule and no early stopping, as in MML's notebooks.")
    if encoder == "lightgcn":
        values |= {"negatives": {"name": "uniform", "exclude_seen": False}, "epochs": 100}
        remarks.append(
            "MML's code for LightGCN does not run as published: rate, batch, layers and L2 are BSL's, with uniform "
            "negatives and 100 epochs."
        )
    if (encoder, loss) == ("mf", "bsl"):
        # its penalty counts a row each time it is in the batch, an item of the negatives B N / I times
        times = [max(1.0, base["batch_size"] * each / CATALOGUE[data].n_items) for each in (n, base["n_negatives"])]
        values["weight_decay"] = base["weight_decay"] * times[0] / times[1]
        remarks.append("L2 as there: the more negatives, the more often it counts a row.")
    if loss == "sigmoid-ce":
        values["weight_decay"] = base["weight_decay"] / base["batch_size"]
        if base["clip_norm"] is not None:
            values["clip_norm"] = base["clip_norm"] / base["batch_size"]
    return values, remarks


def _comment(name: str) -> str:
    """Return what a shipped recipe says of itself."""
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[1:]
    comments = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    return " ".join(comments)
