"""LoOp: a triplet loss on the closest points of the arc of a positive pair and the arcs of pairs of negatives."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, handed
from multimargin.ranges import Range, searched

_LEAST = 1e-6  # of a sine, of a squared distance: below it an arc is a point, two points are one


class OptimalNegativesLoss(Loss):
    r"""Triplet loss whose negatives are made up: the closest points of the arc from a user to its positive and of the
    arcs between its negatives.  Also known as: LoOp, optimal hard negatives in embedding space.

    .. math::
        L = \frac1B \sum_b \frac{1}{N^2} \sum_{m, n} \big[ \mu + \|u_b - i_b\|
        - \min_{p \in \frown(u_b, i_b),\, q \in \frown(j_{bm}, j_{bn})} \|p - q\| \big]_+

    All vectors at length 1, :math:`\frown` the shorter arc of a great circle, :math:`\mu` ``margin``. Over all ordered
    pairs of a row's negatives, a negative with itself too (a point); mean over pairs, mean over the batch. Memory and
    time are O(B N N), and the negatives' vectors are B N D: for a small N.

    Use:
        margins: vectors at hand, a handful of negatives, and hard ones wanted that no item is.
    Args:
        margin: by how much the made-up negative must be farther than the positive, 0 or more; distances are at most 2.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: the margin is below 0, or vectors are not handed over.
    Relations:
        with arcs of one point each, the triplet loss.
    Source:
        Vasudeva et al. 2021, arXiv 2108.09335; puneesh00/LoOp @e48d5f2 (triplet, margin 0.1).
    Differs:
        from the code, which tests ten candidates and their multipliers: p . q is a bilinear form of two points of a
        circle, its unconstrained maximum is the larger singular value of a 2 x 2 matrix, and the maximum over both arcs
        is there, at an end of one of them, or at a corner. Pairs of negatives come from one row, where images of one
        class made them; the version with line segments is left out.
    Example:
        >>> loss = OptimalNegativesLoss(0.5)
        >>> e = torch.eye(3)
        >>> u, i, j = e[:1], normalize(e[:1] + e[1:2], dim=-1), e[None, 2:3]
        >>> keywords = {"user_vectors": u, "positive_vectors": i, "negative_vectors": j}
        >>> print(f"{loss(torch.zeros(1), torch.zeros(1, 1), **keywords).item():.6f}")
        0.000000
    """

    needs = frozenset({"user_vectors", "positive_vectors", "negative_vectors"})
    ranges = searched(margin=Range(0.0, 1.0))

    def __init__(self, margin: float = 0.1):
        super().__init__()
        self.margin = checks.not_negative("margin", margin)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],  # noqa: ARG002 - vectors say it all
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002
        mask: Bool[Tensor, "B N"] | None = None,
        user_vectors: Float[Tensor, "B D"] | None = None,
        positive_vectors: Float[Tensor, "B D"] | None = None,
        negative_vectors: Float[Tensor, "B N D"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; vectors as in ``Loss.needs``, ``mask`` as in ``Loss.forward``, the rest unused."""
        dtype = at_least_float32(pos_scores).dtype
        given = {
            "user_vectors": user_vectors,
            "positive_vectors": positive_vectors,
            "negative_vectors": negative_vectors,
        }
        # in double precision: the sine of a short arc is the difference of two numbers near 1
        u, i, j = (normalize(handed(name, each).double(), dim=-1) for name, each in given.items())
        first, second = (torch.einsum("bd,bnd->bn", each, j) for each in (u, i))  # (B, N) cosines with the ends
        between = j @ j.transpose(1, 2)  # (B, N, N)
        positive = (u * i).sum(-1)  # (B,)
        nearest = closest_cosine(positive[:, None, None], between, first, second)  # (B, N, N)
        violation = (self.margin + _distance(positive)[:, None, None] - _distance(nearest)).relu()
        if mask is None:
            return violation.mean().to(dtype)
        pairs = mask[:, :, None] & mask[:, None, :]
        rows = torch.where(pairs, violation, 0.0).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)  # (B,)
        return rows.mean().to(dtype)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.margin:g}"


def closest_cosine(
    positive: Float[Tensor, "B 1 1"],
    between: Float[Tensor, "B N N"],
    first: Float[Tensor, "B N"],
    second: Float[Tensor, "B N"],
) -> Float[Tensor, "B N N"]:
    """Return the largest cosine of a point of arc (x1, x2) with one of arc (y1, y2), of all pairs (y1, y2) of a row.

    ``positive`` is x1 . x2, ``between`` y1 . y2, ``first`` and ``second`` are x1 . y and x2 . y.
    """
    sin_x, sin_y = ((1 - c.square()).clamp(min=_LEAST**2).sqrt() for c in (positive, between))
    x_end, y_end = torch.atan2(sin_x, positive), torch.atan2(sin_y, between)  # lengths of the arcs
    # p = n1 cos s + n2 sin s along the first arc, q = m1 cos t + m2 sin t along the second: p . q is four products
    along = (second - positive[:, :, 0] * first) / sin_x[:, :, 0]  # (B, N) n2 . y
    n1_m1, n2_m1 = first[:, :, None], along[:, :, None]  # (B, N, 1)
    n1_m2 = (first[:, None, :] - between * n1_m1) / sin_y  # (B, N, N)
    n2_m2 = (along[:, None, :] - between * n2_m1) / sin_y
    best = torch.stack((first, second)).amax(0)  # (B, N) corners
    best = torch.maximum(best[:, :, None], best[:, None, :])
    end = n1_m2 * torch.cos(x_end) + n2_m2 * torch.sin(x_end)  # x2 . m2
    far = first[:, None, :], second[:, None, :]  # cosines of x1, x2 with y2
    n2_y2 = along[:, None, :]
    for cosine, sine, length in (
        (n1_m1, n1_m2, y_end),  # from x1 to the second arc
        (second[:, :, None], end, y_end),  # from x2
        (n1_m1, n2_m1, x_end),  # from y1 to the first arc
        (far[0], n2_y2, x_end),  # from y2
    ):
        angle = torch.atan2(sine, cosine)
        height = (cosine.square() + sine.square()).clamp(min=_LEAST**2).sqrt()
        best = torch.where((angle > 0) & (angle < length), torch.maximum(best, height), best)
    # inside of both: s - t and s + t at the peaks of the two waves that p . q is a sum of
    minus_c, minus_s, plus_c, plus_s = n1_m1 + n2_m2, n2_m1 - n1_m2, n1_m1 - n2_m2, n2_m1 + n1_m2
    minus, plus = torch.atan2(minus_s, minus_c), torch.atan2(plus_s, plus_c)
    waves = ((minus_c, minus_s), (plus_c, plus_s))
    low, high = ((c.square() + s.square()).clamp(min=_LEAST**2).sqrt() for c, s in waves)
    for turn in (0.0, torch.pi):
        s, t = (plus + minus) / 2 + turn, (plus - minus) / 2 + turn
        inside = (s > 0) & (s < x_end) & (t > 0) & (t < y_end)
        best = torch.where(inside, torch.maximum(best, (low + high) / 2), best)
    return best


def _distance(cosine: Tensor) -> Tensor:
    return (2 - 2 * cosine).clamp(min=_LEAST).sqrt()
