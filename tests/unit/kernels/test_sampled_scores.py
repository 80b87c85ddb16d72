"""Sampled scores: the compiled form is no further from the float64 reference than the float32 reference is."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import torch
from score_cases import N_ITEMS, N_USERS, TOLERANCE, Case, assert_as_close_as_float32

from multimargin.errors import ArgumentError
from multimargin.kernels.sampled_scores import sampled_scores


@pytest.mark.parametrize(
    ("similarity", "scaled", "shared", "sparse"),
    list(product(("cosine", "dot"), (True, False), (True, False), (True, False))),
)
def test_values_and_gradients(similarity, scaled, shared, sparse):
    assert_as_close_as_float32(Case(scaled=scaled, shared=shared, zeros=0.4), similarity, sparse=sparse)


@pytest.mark.parametrize(
    ("similarity", "dim"),
    [("dot", 1), *product(("cosine", "dot"), (2, 7, 16, 64, 67))],  # in one dimension a cosine has gradient 0
)
def test_every_width(similarity, dim):
    assert_as_close_as_float32(Case(dim=dim), similarity)


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_each_table_may_need_a_gradient_or_not(similarity, wanted, sparse):
    assert_as_close_as_float32(Case(), similarity, wanted=wanted, sparse=sparse)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_indices_with_gaps_between_them(similarity):
    plain, case = Case(), Case()
    case.users = torch.stack((plain.users, plain.users + 1), dim=1)[:, 0]
    case.positives = torch.stack((plain.positives, plain.positives), dim=1)[:, 1]
    case.negatives = plain.negatives.T.contiguous().T
    case.query_scale = plain.query_scale.T.contiguous().T
    case.upstream = [plain.upstream[0], plain.upstream[1].T.contiguous().T]
    assert not case.users.is_contiguous()
    assert not case.negatives.is_contiguous()
    expected, found = (each.run("cpu", similarity=similarity) for each in (plain, case))
    for name in TOLERANCE:
        assert torch.equal(found[name], expected[name])


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_pairs_with_gradient_zero_touch_no_row(similarity):
    case = Case()
    pos_upstream, neg_upstream = (torch.zeros_like(each) for each in case.upstream)
    pos_upstream[4], neg_upstream[7, 2], neg_upstream[7, 3], neg_upstream[20, 0] = 0.5, 1.5, -2.0, 3.0
    case.upstream = [pos_upstream, neg_upstream]
    found = case.run("cpu", similarity=similarity, sparse=True)["item_gradient"]
    touched = {int(case.positives[4]), *case.negatives[7, [2, 3]].tolist(), int(case.negatives[20, 0])}
    assert found._nnz() == len(touched)
    assert set(found.coalesce().indices()[0].tolist()) == touched
    assert_as_close_as_float32(case, similarity, sparse=True)


def test_no_gradient_at_all_is_an_empty_one():
    case = Case()
    case.upstream = [torch.zeros_like(each) for each in case.upstream]
    found = case.run("cpu", similarity="cosine", sparse=True)
    assert found["item_gradient"]._nnz() == 0
    assert not found["user_gradient"].to_dense().any()
    assert not case.run("cpu", similarity="cosine")["item_gradient"].any()


def test_only_one_of_the_two_results_is_used():
    for place in (0, 1):
        gradients = []
        for impl in ("cpu", "reference"):
            case = Case()
            tables = [table.clone().requires_grad_() for table in case.tables]
            scores = sampled_scores(*tables, case.users, case.positives, case.negatives, impl=impl)
            (3 * scores[place]).sum().backward()
            gradients.append([table.grad for table in tables])
        for kernel, reference in zip(*gradients, strict=True):
            torch.testing.assert_close(kernel, reference, rtol=1e-4, atol=1e-5)


def test_a_row_of_zeros_scores_zero():
    case = Case(scaled=False)
    case.tables[0][case.users[0]] = 0.0
    case.tables[1][case.positives[1]] = 0.0
    found = case.run("cpu", similarity="cosine")
    expected = case.run("reference", similarity="cosine")
    assert found["pos_scores"][0] == found["pos_scores"][1] == 0
    for name in TOLERANCE:
        assert torch.isfinite(found[name]).all()
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5 * expected[name].abs().max())


@pytest.mark.parametrize("impl", ["cpu", "reference"])
def test_the_scale_is_multiplied_after_normalising(impl):
    tables = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    index = torch.tensor([0])
    scale = torch.tensor([[2.0, 0.0]])
    pos, neg = sampled_scores(*tables, index, index, torch.tensor([[1, 0]]), query_scale=scale, impl=impl)
    assert pos.tolist() == pytest.approx([1.2])
    assert neg.flatten().tolist() == pytest.approx([0.0, 1.2])


@pytest.mark.parametrize("shared", [True, False])
def test_the_number_of_threads_changes_nothing(at_threads, shared):
    results = []
    for count in (1, 2, 3):
        at_threads(count)
        results.append(Case(shared=shared, zeros=0.3).run("cpu", similarity="cosine"))
    for other in results[1:]:
        for name in TOLERANCE:
            assert torch.equal(results[0][name], other[name])


def test_auto_is_the_compiled_form_where_it_can_run():
    case = Case()
    for name, value in case.run("auto", similarity="cosine").items():
        assert torch.equal(value, case.run("cpu", similarity="cosine")[name])
    exact = case.run("auto", similarity="cosine", dtype=torch.float64)
    assert exact["pos_scores"].dtype == torch.float64
    strided = [table.T.contiguous().T for table in case.tables]
    found = sampled_scores(*strided, case.users, case.positives, case.negatives)
    expected = sampled_scores(*case.tables, case.users, case.positives, case.negatives, impl="reference")
    torch.testing.assert_close(found, expected)


def test_an_explicit_choice_that_cannot_run_raises():
    case = Case()
    arguments = case.users, case.positives, case.negatives
    with pytest.raises(ArgumentError, match="tables must be contiguous float32 on the CPU"):
        sampled_scores(*(table.double() for table in case.tables), *arguments, impl="cpu")
    with pytest.raises(ArgumentError, match="tables must be contiguous float32 on the CPU"):
        sampled_scores(*(table.T.contiguous().T for table in case.tables), *arguments, impl="cpu")
    with pytest.raises(ArgumentError, match="similarity must be one of cosine, dot"):
        sampled_scores(*case.tables, *arguments, similarity="cos")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("users", lambda index: index + N_USERS, "users must be indices in"),
        ("positives", lambda index: index - N_ITEMS, "positives must be indices in"),
        ("negatives", lambda index: index + N_ITEMS, "negatives must be indices in"),
        ("users", lambda index: index[1:], "positives must be of shape"),
        ("users", lambda index: index[:, None], "users must be of shape"),
        ("positives", lambda index: index[1:], "positives must be of shape"),
        ("negatives", lambda index: index[1:], "negatives must be of shape"),
        ("query_scale", lambda scale: scale[:, 1:], "query_scale must be"),
    ],
)
def test_what_would_be_read_out_of_bounds_is_refused(name, change, message):
    case = Case()
    setattr(case, name, change(getattr(case, name)))
    with pytest.raises(ArgumentError, match=message):
        case.run("cpu", similarity="cosine")


MEMORY = """
import torch
from pathlib import Path
from multimargin.kernels.sampled_scores import sampled_scores

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))

def peak(impl, B, N):
    tables = [torch.randn(1000, 64, requires_grad=True) for _ in range(2)]
    users, positives = torch.arange(B) % 1000, torch.arange(B) % 1000
    negatives = torch.randint(1000, (B, N))
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest memory so far
    before = status("VmRSS")
    scores = sampled_scores(*tables, users, positives, negatives, sparse=True, impl=impl)
    (scores[0].sum() + scores[1].relu().sum()).backward()
    return status("VmHWM") - before

for impl in ("cpu", "reference"):
    peak(impl, 16, 2)  # compile, load
    print(peak(impl, 1024, 400))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_never_holds_a_vector_for_every_pair():
    every_pair = 1024 * 400 * 64 * 4 / 2**20  # MiB of one (B, N, D) tensor
    result = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    kernel, reference = (float(line) for line in result.stdout.split())
    assert kernel < every_pair / 2
    assert reference > every_pair  # so the measurement would have seen one
