"""Sampled scores in Triton, on a GPU if there is one, else in Triton's interpreter; float32 as in the other file."""

import subprocess
import sys
from itertools import product

import pytest
import torch
from score_cases import N_ITEMS, N_USERS, TOLERANCE, Case, assert_as_close_as_float32
from torch.utils._python_dispatch import TorchDispatchMode

from multimargin.errors import ArgumentError
from multimargin.kernels import sampled_scores as package
from multimargin.kernels.sampled_scores import sampled_scores

gpu = pytest.importorskip("multimargin.kernels.sampled_scores.gpu", reason="Triton is not installed here")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
GPU = {"impl": "gpu", "device": DEVICE}
B, N = 17, 11


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    """Several tiles per row and several reads per segment, the last of them ragged."""
    monkeypatch.setattr(gpu, "_TILE", 64)
    monkeypatch.setattr(gpu, "_SEGMENT", 4)


def small_case(**options):
    return Case(**({"B": B, "N": N} | options))


@pytest.mark.parametrize(
    ("similarity", "scaled", "shared", "sparse"),
    list(product(("cosine", "dot"), (True, False), (True, False), (True, False))),
)
def test_values_and_gradients(similarity, scaled, shared, sparse):
    case = small_case(scaled=scaled, shared=shared, zeros=0.4)
    assert_as_close_as_float32(case, similarity, sparse=sparse, **GPU)


@pytest.mark.parametrize(
    ("similarity", "dim"), [("dot", 1), ("cosine", 2), ("dot", 7), ("cosine", 16), ("dot", 64), ("cosine", 67)]
)
def test_every_width(similarity, dim):
    assert_as_close_as_float32(small_case(dim=dim), similarity, **GPU)


@pytest.mark.parametrize("n", [1, 3, 4, 67])
def test_any_number_of_negatives_in_tiles_as_they_are_used(monkeypatch, n):
    monkeypatch.undo()
    assert_as_close_as_float32(small_case(N=n, dim=64), "cosine", **GPU)


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_each_table_may_need_a_gradient_or_not(similarity, wanted, sparse):
    assert_as_close_as_float32(small_case(), similarity, wanted=wanted, sparse=sparse, **GPU)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_inputs_with_gaps_between_them(similarity):
    plain, case = small_case(), small_case()
    case.tables = [table.T.contiguous().T for table in plain.tables]
    case.users = torch.stack((plain.users, plain.users + 1), dim=1)[:, 0]
    case.positives = torch.stack((plain.positives, plain.positives), dim=1)[:, 1]
    case.negatives = plain.negatives.T.contiguous().T
    case.query_scale = plain.query_scale.T.contiguous().T
    case.upstream = [plain.upstream[0], plain.upstream[1].T.contiguous().T]
    assert not any(each.is_contiguous() for each in (*case.tables, case.users, case.negatives, case.query_scale))
    expected, found = (each.run(similarity=similarity, **GPU) for each in (plain, case))
    for name in TOLERANCE:
        assert torch.equal(found[name], expected[name])


def test_a_part_of_a_larger_table():
    plain, case = small_case(), small_case()
    whole = [torch.full((len(table), 2 * table.shape[1] + 1), torch.nan) for table in plain.tables]
    for part, table in zip(whole, plain.tables, strict=True):
        part[:, 1::2] = table
    tables = [part.to(DEVICE)[:, 1::2].requires_grad_() for part in whole]
    index = [each.to(DEVICE) for each in (case.users, case.positives, case.negatives)]
    scores = sampled_scores(*tables, *index, query_scale=case.query_scale.to(DEVICE), impl="gpu")
    torch.autograd.backward(scores, [each.to(DEVICE) for each in case.upstream])
    expected = plain.run(similarity="cosine", **GPU)
    for found, name in zip((*scores, *(table.grad for table in tables)), TOLERANCE, strict=True):
        assert torch.equal(found.detach().cpu(), expected[name])


@pytest.mark.parametrize("kind", [torch.int32, torch.int16])
def test_narrow_indices(kind):
    plain, case = small_case(), small_case()
    case.users, case.negatives = plain.users.to(kind), plain.negatives.to(kind)
    expected, found = (each.run(similarity="cosine", **GPU) for each in (plain, case))
    for name in TOLERANCE:
        assert torch.equal(found[name], expected[name])


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_pairs_with_gradient_zero_touch_no_row_and_read_none(similarity):
    case = small_case()
    pos_upstream, neg_upstream = (torch.zeros_like(each) for each in case.upstream)
    pos_upstream[4], neg_upstream[7, 2], neg_upstream[7, 3], neg_upstream[16, 0] = 0.5, 1.5, -2.0, 3.0
    case.upstream = [pos_upstream, neg_upstream]
    touched = {int(case.positives[4]), *case.negatives[7, [2, 3]].tolist(), int(case.negatives[16, 0])}
    assert_as_close_as_float32(case, similarity, sparse=True, **GPU)
    for item in set(range(N_ITEMS)) - touched:
        case.tables[1][item] = torch.nan
    found = case.run(similarity=similarity, sparse=True, **GPU)
    for name, rows in (("user_gradient", case.users.unique().tolist()), ("item_gradient", sorted(touched))):
        assert found[name]._nnz() == len(rows)
        assert found[name]._indices()[0].tolist() == rows  # in order, as coalesced ones must be
        assert found[name].to_dense().isfinite().all()


def test_no_gradient_at_all_is_an_empty_one():
    case = small_case()
    case.upstream = [torch.zeros_like(each) for each in case.upstream]
    found = case.run(similarity="cosine", sparse=True, **GPU)
    assert found["item_gradient"]._nnz() == 0
    assert not found["user_gradient"].to_dense().any()
    assert not case.run(similarity="cosine", **GPU)["item_gradient"].any()


def test_only_one_of_the_two_results_is_used():
    for place in (0, 1):
        gradients = []
        for impl, device in (("gpu", DEVICE), ("reference", "cpu")):
            case = small_case()
            tables = [table.to(device).requires_grad_() for table in case.tables]
            index = [each.to(device) for each in (case.users, case.positives, case.negatives)]
            (3 * sampled_scores(*tables, *index, impl=impl)[place]).sum().backward()
            gradients.append([table.grad.cpu() for table in tables])
        for kernel, reference in zip(*gradients, strict=True):
            torch.testing.assert_close(kernel, reference, rtol=1e-4, atol=1e-5)


def test_a_row_of_zeros_scores_zero():
    case = small_case(scaled=False)
    case.tables[0][case.users[0]] = 0.0
    case.tables[1][case.positives[1]] = 0.0
    found = case.run(similarity="cosine", **GPU)
    expected = case.run("reference", similarity="cosine")
    assert found["pos_scores"][0] == found["pos_scores"][1] == 0
    for name in TOLERANCE:
        assert torch.isfinite(found[name]).all()
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5 * expected[name].abs().max())


def test_what_is_not_a_number_stays_so():
    case = small_case()
    case.tables[0][case.users[0]] = torch.nan
    case.upstream[1][3, 2] = torch.nan
    found = case.run(similarity="cosine", **GPU)
    assert found["neg_scores"][0].isnan().all()
    assert found["user_gradient"][case.users[[0, 3]]].isnan().all()
    assert found["item_gradient"][case.negatives[3, 2]].isnan().all()


def test_an_empty_batch():
    case = small_case(B=0)
    found = case.run(similarity="cosine", sparse=True, **GPU)
    assert found["neg_scores"].shape == (0, N)
    assert found["user_gradient"]._nnz() == found["item_gradient"]._nnz() == 0


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_tables_of_16_bits_are_computed_with_in_float32(dtype, similarity):
    case = small_case(dim=67)
    case.tables, case.upstream = ([each.to(dtype).float() for each in group] for group in (case.tables, case.upstream))
    case.query_scale = (case.query_scale > 0).float()
    exact = case.run("reference", similarity=similarity, dtype=torch.float64)
    found = case.run(similarity=similarity, dtype=dtype, **GPU)
    lost = torch.finfo(dtype).eps / 2  # by the rounding of the result, and nowhere else
    if gpu.INTERPRETED and dtype == torch.bfloat16:
        lost *= 2  # the interpreter cuts off what a GPU rounds
    for name, tolerance in TOLERANCE.items():
        assert found[name].dtype == dtype
        off = (found[name].double() - exact[name]).abs()
        assert (off <= lost * exact[name].abs() + 2 * tolerance * exact[name].abs().max()).all(), name


def test_the_same_bits_every_time():
    first, second = (small_case(zeros=0.3).run(similarity="cosine", **GPU) for _ in range(2))
    for name in TOLERANCE:
        assert torch.equal(first[name], second[name])


def test_a_row_is_summed_in_the_order_of_the_batch():
    # 1e8 + 1 is 1e8 in float32, so only one order of the three gives 1; a tile of one makes the order visible
    tables = [torch.ones(1, 1, device=DEVICE), torch.ones(3, 1, device=DEVICE).requires_grad_()]
    zeros = torch.zeros(3, dtype=torch.long, device=DEVICE)
    for upstream, total in (([1e8, -1e8, 1.0], 1.0), ([1e8, 1.0, -1e8], 0.0)):
        tables[1].grad = None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gpu, "_SEGMENT", 1)
            scores = sampled_scores(*tables, zeros, zeros, zeros[:, None] + 1, similarity="dot", impl="gpu")
            torch.autograd.backward(scores, [torch.tensor(upstream, device=DEVICE), torch.zeros(3, 1, device=DEVICE)])
        assert tables[1].grad[0].item() == total


class Largest(TorchDispatchMode):
    """Remembers the most bytes any result of PyTorch holds."""

    def __init__(self):
        super().__init__()
        self.nbytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for each in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(each, torch.Tensor) and not each.is_sparse:
                self.nbytes = max(self.nbytes, each.untyped_storage().nbytes())
        return result


def test_never_holds_a_vector_for_every_pair(monkeypatch):
    monkeypatch.undo()  # tiles as they are used
    sizes = {}
    for impl in ("gpu", "reference"):
        with Largest() as largest:
            small_case(N=211, dim=32).run(impl, similarity="cosine", device=DEVICE, sparse=True)
        sizes[impl] = largest.nbytes
    assert sizes["reference"] >= B * 211 * 32 * 4  # so the measurement would have seen one
    assert sizes["gpu"] <= B * 212 * 8  # int64 indices of all pairs


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("users", lambda index: index + N_USERS, "users must be indices in"),
        ("positives", lambda index: index - N_ITEMS, "positives must be indices in"),
        ("negatives", lambda index: index + N_ITEMS, "negatives must be indices in"),
        ("negatives", lambda index: index[1:], "negatives must be of shape"),
        ("query_scale", lambda scale: scale[:, 1:], "query_scale must be"),
    ],
)
def test_what_would_be_read_out_of_bounds_is_refused(name, change, message):
    case = small_case()
    setattr(case, name, change(getattr(case, name)))
    with pytest.raises(ArgumentError, match=message):
        case.run(similarity="cosine", **GPU)


@pytest.mark.parametrize("name", ["users", "positives", "negatives", "query_scale"])
def test_what_lies_on_another_device_is_refused(name):
    case = small_case()
    given = {each: getattr(case, each).to(DEVICE) for each in ("users", "positives", "negatives", "query_scale")}
    given[name] = given[name].to("meta")
    with pytest.raises(ArgumentError, match=f"{name} must be on {DEVICE}.*, as the tables; got 'meta'"):
        sampled_scores(*(table.to(DEVICE) for table in case.tables), **given, impl="gpu")


def test_an_explicit_choice_that_cannot_run_raises(monkeypatch):
    case = small_case()
    first, second = (table.to(DEVICE) for table in case.tables)
    rest = [each.to(DEVICE) for each in (case.users, case.positives, case.negatives)]
    for tables in ((first.double(), second.double()), (first, second.half())):
        with pytest.raises(ArgumentError, match="tables must both be float32, bfloat16 or float16 for impl='gpu'"):
            sampled_scores(*tables, *rest, impl="gpu")
    with pytest.raises(ArgumentError, match="tables must be on one device for impl='gpu'"):
        sampled_scores(first, second.to("meta"), *rest, impl="gpu")
    monkeypatch.setattr(gpu, "INTERPRETED", False)
    with pytest.raises(ArgumentError, match="tables must be on a GPU for impl='gpu'"):
        sampled_scores(*case.tables, case.users, case.positives, case.negatives, impl="gpu")
    monkeypatch.setattr(package, "_has_triton", lambda: False)
    with pytest.raises(ArgumentError, match="Triton, which is not installed"):
        sampled_scores(first, second, *rest, impl="gpu")


def test_auto_is_triton_on_a_gpu_only(monkeypatch):
    for device, triton, dtype, chosen in (
        ("cpu", True, torch.float32, "cpu"),
        ("cpu", True, torch.float16, "reference"),
        ("cuda", True, torch.float32, "gpu"),
        ("cuda", True, torch.bfloat16, "gpu"),
        ("cuda", True, torch.float64, "reference"),
        ("cuda", False, torch.float32, "reference"),
    ):
        monkeypatch.setattr(package, "_has_triton", lambda there=triton: there)
        with torch._subclasses.FakeTensorMode():  # tables that say they lie on a GPU
            tables = [torch.empty(3, 2, dtype=dtype, device=device) for _ in range(2)]
        assert package._choose("auto", *tables) == chosen


COMPILE = """
from itertools import product
import triton
from triton.backends.compiler import GPUTarget
from multimargin.kernels.sampled_scores import gpu

TYPES = dict.fromkeys(("user_table", "item_table", "table", "scores", "upstream", "weights"), "*T")
TYPES |= dict.fromkeys(("users", "items", "touched", "starts", "source"), "*i64")
TYPES |= dict.fromkeys(("scale", "queries", "vectors", "result"), "*fp32")
for kernel in (gpu._score, gpu._gradient_of_queries, gpu._gradient_of_rows):
    for table, cosine, row in (("fp32", True, "i32"), ("bf16", False, "i64"), ("fp16", True, "i32")):
        names = kernel.arg_names
        fixed = {"COSINE": cosine, "SCALED": cosine, "D": 64, "K": 16}
        fixed |= {} if cosine else {"scale": None}
        fixed |= {name: 1 for name in names if name.endswith("_column")}
        fixed = {(names.index(name),): value for name, value in fixed.items() if name in names}
        types = {name: TYPES.get(name, row if name.endswith("_row") else "i32").replace("T", table) for name in names}
        types |= {names[place]: "constexpr" for place, in fixed}
        source = triton.compiler.ASTSource(fn=kernel, signature=types, constexprs=fixed)
        made = triton.compile(source, target=GPUTarget("cuda", 80, 32)).asm
        assert made["cubin"]
        assert not [line for line in made["ptx"].splitlines() if line.strip().startswith(("atom", "red"))]
print("compiled")
"""


def test_compiles_for_a_gpu_without_atomics(tmp_path, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    result = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True)
    assert result.stdout == "compiled\n", result.stderr
