"""Recipes: a short YAML file becomes objects; the only place where a name turns into an object."""

import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from multimargin import checks
from multimargin.errors import RecipeError

if TYPE_CHECKING:
    from multimargin.baselines import Baseline
    from multimargin.data.splits import SplitStrategy
    from multimargin.encoders import Encoder
    from multimargin.losses.base import Loss
    from multimargin.negatives.base import NegativeSampler
    from multimargin.ranges import AnyRange
    from multimargin.train.loop import Trainer

FOLDER = Path(__file__).parent
"""Where the shipped recipes lie, one ``<name>.yaml`` each."""

PROTOCOLS = ("honest", "paper")


@dataclass(frozen=True)
class Objects:
    """What a recipe names, built: everything a run is made of but its data.

    Where the encoder is a baseline, there are no loss, negatives and trainer.
    """

    encoder: "Encoder | Baseline"
    loss: "Loss | None"
    negatives: "NegativeSampler | None"
    split: "SplitStrategy"
    trainer: "Trainer | None"

    def of_training(self) -> "tuple[Encoder, Loss, NegativeSampler, Trainer]":
        """Return encoder, loss, negatives and trainer of a recipe that is trained."""
        from multimargin.encoders import Encoder

        assert isinstance(self.encoder, Encoder)
        assert self.loss is not None
        assert self.negatives is not None
        assert self.trainer is not None
        return self.encoder, self.loss, self.negatives, self.trainer


@dataclass(frozen=True)
class Recipe:
    """A recipe with every value filled in, defaults included; build one with ``Recipe.load``.

    Args:
        name: the shipped recipe's name, or the file's stem.
        values: one entry for each key of ``schema()``; the entries of an axis hold its name and every parameter. Where
            the encoder is a baseline, what is said of training is None.
    """

    name: str
    values: Mapping[str, Any]

    @classmethod
    def load(cls, source: "str | Path | Mapping[str, Any]", overrides: Sequence[str] = ()) -> "Recipe":
        """Read a recipe, apply ``key=value`` overrides and fill in every default.

        Args:
            source: a shipped recipe's name, the path of a YAML file, or the mapping such a file holds.
            overrides: ``"epochs=5"``, ``"loss.margins=[.7,.8,.9]"``, ``"loss=bpr"``; values are read as YAML. Choosing
                another class for an axis starts from that class's own defaults, wherever in the sequence it stands.

        Raises:
            RecipeError: no such recipe, not YAML, an unknown key (the message names the nearest), or a name or value
                that its class does not take.
        """
        if isinstance(source, Mapping):
            name, values = "recipe", dict(source)
        else:
            name, values = _read(source)
        for key, value in sorted(map(_parse_override, overrides), key=lambda pair: not _chooses_class(pair[0])):
            _override(values, key, value)
        return cls(name, _resolve(values))

    def to_yaml(self) -> str:
        """Return the resolved recipe as YAML, one line per key, which ``load`` reads back to the same values."""
        lines = [f"# multimargin fit {self.name}\n"]
        of_training = () if self.is_trained else _keys_of_training()
        for key, value in self.values.items():
            if key in of_training:
                continue
            text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, width=10_000).strip()
            lines.append(f"{key}: {text.removesuffix('...').strip()}\n")
        return "".join(lines)

    def differences(self, other: "Recipe") -> list[str]:
        """Return the keys whose values differ, where the data lies and which device computes left out."""
        ignored = {"data", "device"}
        return [key for key in self.values if key not in ignored and self.values[key] != other.values.get(key)]

    def goes_on_as(self, other: "Recipe") -> bool:
        """Return whether ``other`` has more epochs, the first of which are trained as this one's are."""
        return self.is_trained and self.values["decay"] is None and self.values["epochs"] < other.values["epochs"]

    @property
    def data_seed(self) -> int:
        """What the split and a sample of evaluated users are drawn by: ``split_seed``, where it is null ``seed``."""
        chosen = self.values["split_seed"]
        return int(self.values["seed"] if chosen is None else chosen)

    @property
    def is_trained(self) -> bool:
        """Whether the encoder is trained; a baseline is not."""
        return not _is_baseline(self.values["encoder"]["name"])

    def strategy(self) -> "SplitStrategy":
        """Build the split alone."""
        made: SplitStrategy = _construct("split", self.values["split"])
        return made

    def ranges(self) -> "dict[str, AnyRange]":
        """Return what its classes declare worth searching, by key: "learning_rate", "loss.margin"."""
        found: dict[str, AnyRange] = {}
        if self.is_trained:
            from multimargin.train.loop import Trainer

            found |= Trainer.ranges
        for axis in ("loss", "negatives", "encoder"):
            if self.values[axis] is not None:
                declared = _class_of(axis, self.values[axis]["name"]).ranges
                found |= {f"{axis}.{key}": each for key, each in declared.items()}
        return found

    def build(self) -> Objects:
        """Build every object the recipe names.

        Raises:
            ArgumentError: a constructor refuses a value.
            DeviceError: the device asked for is not there.
        """
        values = self.values
        built: dict[str, Any] = {
            axis: None if values[axis] is None else _construct(axis, values[axis]) for axis in _AXES
        }
        if not self.is_trained:
            return Objects(**built, trainer=None)
        trainer = {key: values[key] for key in _trainer_parameters()}
        for key, make in _trainer_parts().items():
            if trainer[key] is not None:
                trainer[key] = make(**trainer[key])
        from multimargin.train.loop import Trainer

        return Objects(**built, trainer=Trainer(**trainer))


def recipe_names() -> list[str]:
    """Return the names of the shipped recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def schema() -> dict[str, list[str] | None]:
    """Return every key a recipe may have, in order; for an axis the names it may choose, otherwise None."""
    keys: dict[str, list[str] | None] = {"data": None, "read": None, "protocol": list(PROTOCOLS)}
    keys |= {axis: sorted(names()) for axis, names in _AXES.items()}
    keys |= {"popularity": None, "k": None, "evaluate_users": None, "split_seed": None}
    return keys | dict.fromkeys(_trainer_parameters())


def canonical_metric(metric: object, k: Sequence[int]) -> str:
    """Return ``metric`` as this library spells it, "Recall@20", if evaluation at cut-offs ``k`` yields it.

    Raises:
        RecipeError: it does not; the message names what it does yield.
    """
    from multimargin.evaluate.metrics import METRICS

    names = [f"{name}@{each}" for name in METRICS for each in k]
    for name in names:
        if str(metric).lower() == name.lower():
            return name
    near = checks.nearest(metric, names)
    raise RecipeError(
        f"metric must be one of {', '.join(METRICS)} @ one of k={list(k)}; got {metric!r}. {near}".rstrip()
    )


# --- from text to a mapping ---------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, as everywhere else, and a repeated key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise RecipeError(f"a recipe must name each key once; got {key!r} twice.")
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)$"),
    list("-+0123456789."),
)


class _Dumper(yaml.SafeDumper):
    """YAML with tuples as lists and floats in their shortest exact form."""


_Dumper.add_representer(tuple, lambda dumper, value: dumper.represent_list(value))


def _read(source: str | Path) -> tuple[str, dict[str, Any]]:
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        names = recipe_names()
        if str(source) not in names:
            raise RecipeError(
                f"recipe must be a shipped name or the path of a .yaml file; got {str(source)!r}. "
                f"{checks.nearest(source, names)} See them all with: multimargin list recipes"
            )
        path = FOLDER / f"{source}.yaml"
    return path.stem, parse(path.read_text(encoding="utf-8"), where=str(path))


def parse(text: str, *, where: str) -> dict[str, Any]:
    """Return the mapping that ``text`` spells in YAML; ``where`` names it in messages.

    Raises:
        RecipeError: it is not YAML, or not a mapping.
    """
    try:
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeError) as error:
        raise RecipeError(f"{where} must be YAML; {' '.join(str(error).split())}.") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{where} must hold 'key: value' lines; got {type(values).__name__}.")
    return values


def _parse_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise RecipeError(f"an override must read key=value; got {text!r}. For instance epochs=5.")
    try:
        return key.strip(), yaml.load(value, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError:
        raise RecipeError(
            f"{key} must be given as YAML; got {value!r}. For instance loss.margins=[.7,.8,.9]."
        ) from None


def _chooses_class(key: str) -> bool:
    return key.removesuffix(".name") in _AXES


def _override(values: dict[str, Any], key: str, value: Any) -> None:
    top, dot, inner = key.partition(".")
    if top not in schema():
        _unknown(key, list(schema()))
    if not dot:
        values[top] = {"name": value} if top in _AXES and isinstance(value, str) else value
        return
    if top in _AXES and inner == "name":
        values[top] = values[top] if _name(values.get(top)) == value else {"name": value}
        return
    current = values.get(top)
    if isinstance(current, str):  # an axis written in short
        current = {"name": current}
    allowed = [name for name in _inner_keys(top, current) if name != "name"]
    if inner not in allowed:
        _unknown(key, [f"{top}.{name}" for name in allowed])
    values[top] = {**(current or {}), inner: value}


def _unknown(key: object, known: Sequence[str]) -> None:
    text = str(key)
    # a parameter given without its axis ("margins") is as near as a misspelt one
    inner = [full for full in _all_keys() if full.partition(".")[2] == text]
    close = inner or difflib.get_close_matches(text, known, n=1) or difflib.get_close_matches(text, _all_keys(), n=1)
    hint = (
        f"Did you mean {close[0]!r}?" if close else f"Known are {', '.join(known)}." if known else "It takes no values."
    )
    raise RecipeError(f"recipe key {text!r} is unknown. {hint}")


# --- from a mapping to every value --------------------------------------------------------------------------------


def _resolve(values: Mapping[str, Any]) -> dict[str, Any]:
    for key in values:
        if key not in schema():
            _unknown(key, list(schema()))
    left_out = _left_out(values)
    resolved: dict[str, Any] = {"data": values.get("data"), "read": _options("read", values.get("read") or {})}
    if resolved["data"] is not None:
        resolved["data"] = str(resolved["data"])
    resolved["protocol"] = values.get("protocol", "honest")
    if resolved["protocol"] not in PROTOCOLS:
        near = checks.nearest(resolved["protocol"], PROTOCOLS)
        raise RecipeError(
            f"protocol must be one of {', '.join(PROTOCOLS)}; got {resolved['protocol']!r}. {near}".rstrip()
        )
    for axis, default in _DEFAULT_NAMES.items():
        resolved[axis] = None if axis in left_out else _resolve_axis(axis, values.get(axis, default))
    popularity = values.get("popularity", 0.0)
    resolved["popularity"] = popularity if popularity == "auto" else checks.not_negative("popularity", popularity)
    k = values.get("k", [20, 50])
    k = [k] if isinstance(k, int) else k
    if not isinstance(k, (list, tuple)) or not k:
        raise RecipeError(f"k must be a list of cut-offs; got {k!r}. For instance k=[20,50].")
    resolved["k"] = sorted({checks.positive_int("k", each) for each in k})
    some = values.get("evaluate_users")
    resolved["evaluate_users"] = None if some is None else checks.positive_int("evaluate_users", some)
    split_seed = values.get("split_seed")  # null: the seed
    resolved["split_seed"] = None if split_seed is None else checks.at_least("split_seed", split_seed, 0)
    parts = _trainer_parts()
    for key, parameter in _trainer_parameters().items():
        value = values.get(key, None if key in left_out else parameter.default)
        resolved[key] = _options(key, value, fill=True) if key in parts and value is not None else value
    resolved["metric"] = canonical_metric(resolved["metric"], resolved["k"])
    return resolved


def _left_out(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys that are None because the encoder is a baseline.

    Raises:
        RecipeError: one of them is set.
    """
    name = _name(values.get("encoder", _DEFAULT_NAMES["encoder"]))
    if not isinstance(name, str) or not _is_baseline(name):
        return ()
    for key in (*_keys_of_training(), "popularity"):
        if values.get(key) is not None and not (key == "popularity" and values[key] == 0):
            raise RecipeError(
                f"{key} must be left out, for {name!r} is not trained; got {_name(values[key])!r}. Take away its line, "
                f"or add {key}=null."
            )
    return _keys_of_training()


def _is_baseline(name: str) -> bool:
    from multimargin.baselines import Baseline

    return issubclass(_class_of("encoder", name), Baseline)


def _keys_of_training() -> tuple[str, ...]:
    """Return what a baseline has no use for: all that the trainer takes but the seed and the metric."""
    return ("loss", "negatives", *(key for key in _trainer_parameters() if key not in ("seed", "metric")))


def _resolve_axis(axis: str, value: Any) -> dict[str, Any]:
    name = _name(value)
    if not isinstance(name, str):
        raise RecipeError(
            f"{axis} must be a name or a mapping with one; got {value!r}. For instance {axis}={_DEFAULT_NAMES[axis]}."
        )
    given = {key: each for key, each in value.items() if key != "name"} if isinstance(value, Mapping) else {}
    parameters = _parameters(_class_of(axis, name))
    for key in given:
        if key not in parameters:
            _unknown(f"{axis}.{key}", [f"{axis}.{each}" for each in parameters])
    missing = [key for key, each in parameters.items() if each.default is each.empty and key not in given]
    if missing:
        raise RecipeError(f"{axis}.{missing[0]} must be given for {name!r}. Add {axis}.{missing[0]}=VALUE.")
    filled = {key: _plain(given.get(key, each.default)) for key, each in parameters.items()}
    for key, each in filled.items():  # a sampler made of samplers
        if isinstance(each, dict) and "name" in each:
            filled[key] = _resolve_axis(axis, each)
        elif isinstance(each, list):
            filled[key] = [_resolve_axis(axis, one) if isinstance(one, dict) and "name" in one else one for one in each]
    return {"name": name, **filled}


def _options(key: str, value: Any, *, fill: bool = False) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise RecipeError(f"{key} must be a mapping or null; got {value!r}. Set one value with {key}.NAME=VALUE.")
    allowed = _inner_keys(key, None)
    for each in value:
        if each not in allowed:
            _unknown(f"{key}.{each}", [f"{key}.{name}" for name in allowed])
    if not fill:
        return dict(value)
    parameters = _parameters(_trainer_parts()[key])
    missing = [name for name, each in parameters.items() if each.default is each.empty and name not in value]
    if missing:
        raise RecipeError(f"{key}.{missing[0]} must be given. Add {key}.{missing[0]}=VALUE.")
    return {name: _plain(value.get(name, each.default)) for name, each in parameters.items()}


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value] if isinstance(value, (tuple, list)) else value


def _name(value: Any) -> Any:
    return value.get("name") if isinstance(value, Mapping) else value


# --- from names to classes ----------------------------------------------------------------------------------------


def _splits() -> dict[str, Any]:
    from multimargin.data import SPLITS

    return dict(SPLITS)


def _encoders() -> dict[str, Any]:
    from multimargin.baselines import BASELINES
    from multimargin.encoders import ENCODERS

    return {**ENCODERS, **BASELINES}


def _losses() -> dict[str, Any]:
    from multimargin.losses import LOSSES

    return dict(LOSSES)


def _negatives() -> dict[str, Any]:
    from multimargin.negatives import NEGATIVES

    return dict(NEGATIVES)


_AXES: dict[str, Callable[[], dict[str, Any]]] = {
    "split": _splits,
    "encoder": _encoders,
    "loss": _losses,
    "negatives": _negatives,
}
_DEFAULT_NAMES = {"split": "random-per-user", "encoder": "mf", "loss": "multi-margin", "negatives": "uniform"}


def _class_of(axis: str, name: str) -> Any:
    names = _AXES[axis]()
    if name in names:
        return names[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        near = checks.nearest(name, names)
        raise RecipeError(
            f"{axis} must be one of {', '.join(sorted(names))}, or package.module:Class; got {name!r}. {near}".rstrip()
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RecipeError(f"{axis} must name a class that can be imported; got {name!r} ({error}).") from None
    if not inspect.isclass(found):
        raise RecipeError(f"{axis} must name a class; got {name!r}, a {type(found).__name__}.")
    return found


def _construct(axis: str, value: Mapping[str, Any]) -> Any:
    made = _class_of(axis, value["name"])
    arguments = {key: each for key, each in value.items() if key != "name"}
    return made(**{key: _argument(axis, each) for key, each in arguments.items()})


def _argument(axis: str, value: Any) -> Any:
    """Return a value as a constructor takes it: lists as tuples, as its own defaults are; an object of its own axis."""
    if isinstance(value, list):
        return tuple(_argument(axis, each) for each in value)
    return _construct(axis, value) if isinstance(value, Mapping) and "name" in value else value


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    found = inspect.signature(function).parameters
    return {name: each for name, each in found.items() if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}


def _trainer_parameters() -> dict[str, inspect.Parameter]:
    from multimargin.train.loop import Trainer

    return _parameters(Trainer)


def _trainer_parts() -> dict[str, Callable[..., Any]]:
    from multimargin.train.stopping import EarlyStopping, ReduceOnPlateau

    return {"stopping": EarlyStopping, "schedule": ReduceOnPlateau}


def _inner_keys(top: str, current: Any) -> list[str]:
    if top in _AXES:
        return ["name", *_parameters(_class_of(top, str(_name(current) or _DEFAULT_NAMES[top])))]
    if top == "read":
        from multimargin.data.readers import read_interactions

        return [name for name in _parameters(read_interactions) if name != "path"]
    parts = _trainer_parts()
    return list(_parameters(parts[top])) if top in parts else []


def _all_keys() -> Iterable[str]:
    keys = list(schema())
    for axis, names in _AXES.items():
        keys += [f"{axis}.{each}" for found in names().values() for each in _parameters(found)]
    for key in ("read", *_trainer_parts()):
        keys += [f"{key}.{each}" for each in _inner_keys(key, None)]
    return keys


# --- what there is to choose from ---------------------------------------------------------------------------------


def describe(kind: str) -> dict[str, str]:
    """Return name and one line for every member of ``kind``: an axis in the plural, "datasets" or "recipes"."""
    if kind == "recipes":
        return {
            name: _describe_recipe(parse((FOLDER / f"{name}.yaml").read_text("utf-8"), where=name))
            for name in recipe_names()
        }
    if kind == "datasets":
        from multimargin.data.catalogue import CATALOGUE

        return {name: each.description for name, each in CATALOGUE.items()}
    axis = {"losses": "loss", "negatives": "negatives", "encoders": "encoder", "splits": "split"}[kind]
    return {name: first_sentence(each) for name, each in _AXES[axis]().items()}


def first_sentence(documented: object) -> str:
    """Return the first sentence of a docstring, on one line."""
    text = " ".join((inspect.getdoc(documented) or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0].rstrip(".").replace("``", "")


def _describe_recipe(values: Mapping[str, Any]) -> str:
    data = values.get("data") or "data of your own"
    if _is_baseline(_name(values.get("encoder", _DEFAULT_NAMES["encoder"]))):
        return f"{data}: {_name(values['encoder'])}, {values.get('protocol', 'honest')} protocol"
    parts = [f"{_name(values.get(axis, _DEFAULT_NAMES[axis]))}" for axis in ("encoder", "loss", "negatives")]
    n = values.get("n_negatives")
    parts[-1] += "" if n is None else f", N = {n}"
    return f"{data}: {' + '.join(parts)}, {values.get('protocol', 'honest')} protocol"
