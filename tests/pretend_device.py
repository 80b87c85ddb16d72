"""A second device where there is none: what lies on it lies on the CPU, but whoever mixes the two is told."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")  # a device every PyTorch has and nobody here computes on
_TRANSFERS = {"_to_copy", "copy_", "_local_scalar_dense"}


class Elsewhere(torch.Tensor):
    """A tensor that says it lies on ``DEVICE``."""

    @staticmethod
    def __new__(cls, inner):
        strides = inner.stride() if inner.layout == torch.strided else None
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=strides, dtype=inner.dtype, layout=inner.layout, device=DEVICE
        )

    def __init__(self, inner):
        self.inner = inner

    def __repr__(self):
        return f"Elsewhere({self.inner})"

    def tolist(self):
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return compute(function, args, kwargs or {})


class PretendDevice(TorchDispatchMode):
    """Within it, ``.to(DEVICE)`` and ``device=DEVICE`` work, and keep their numbers."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return compute(function, args, kwargs or {})


def compute(function, args, kwargs):
    """Run ``function`` on the CPU and put the result where it belongs."""
    name = function.overloadpacket.__name__
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = [each for each in tensors if isinstance(each, Elsewhere)]
    here = [each for each in tensors if not isinstance(each, Elsewhere) and each.dim()]  # a number may come along
    if there and here and name not in _TRANSFERS:
        raise AssertionError(f"{name} mixes devices")
    asked = kwargs.get("device")
    result = function(*tree_map(_inner, args), **tree_map(_inner, kwargs | ({"device": "cpu"} if asked else {})))
    for given in args[:1]:  # what is changed in place is returned as it was
        if name.endswith("_") and isinstance(given, torch.Tensor):
            return given
    on_device = torch.device(asked).type == DEVICE.type if asked else bool(there)
    return (
        tree_map(lambda each: Elsewhere(each) if isinstance(each, torch.Tensor) else each, result)
        if on_device
        else result
    )


def _inner(value):
    return value.inner if isinstance(value, Elsewhere) else value
