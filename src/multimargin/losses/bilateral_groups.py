"""Bilateral softmax losses over all positives that a user has in the batch: the paper's, and its repository's."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from multimargin import checks
from multimargin.losses.base import Loss, at_least_float32, handed
from multimargin.losses.facts import SoftMaximum
from multimargin.losses.reductions import log_mean_exp, log_mean_exp_by_group
from multimargin.ranges import Range, searched


class BilateralSoftmaxLoss(Loss):
    r"""Softmax loss that is robust on both sides: to false negatives, and to noise among a user's positives.
    Also known as: BSL, as its paper has it.

    .. math::
        L = \frac1B \sum_b \Big( -\tau_1 \log \frac{1}{|G_b|} \sum_{c \in G_b} e^{s_c/\tau_1}
        + \tau_2 \log \frac1N \sum_n e^{s_{bn}/\tau_2} \Big)

    :math:`s_b` is ``pos_scores``, :math:`s_{bn}` ``neg_scores``, :math:`\tau_1` ``pos_temperature``, :math:`\tau_2`
    ``neg_temperature``, :math:`G_b` the rows of the batch with the user of row b. Means inside the logarithms, mean
    over the batch; a row without negatives keeps its first term.

    Use:
        softmax: false negatives and noisy positives, several of a user in a batch.
    Args:
        pos_temperature: of the positives, above 0: the smaller, the more a user's best positives stand for the others.
        neg_temperature: of the negatives, above 0: the smaller, the more the hardest count.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: a temperature is not above 0, or no users are handed over.
    Relations:
        where all users of a batch differ, ``pos_temperature`` times ``BilateralRowLoss``. Not ``GroupedSoftmaxLoss``,
        which is what the published numbers were made with.
    Source:
        Wu et al. 2024, arXiv 2312.12882.
    Differs:
        the expectation over a user's positives is taken over those in the batch, as the repository does.
    Example:
        >>> import torch
        >>> pos, neg, users = torch.tensor([0.8, 0.2]), torch.tensor([[0.3], [-0.2]]), torch.tensor([5, 5])
        >>> print(f"{BilateralSoftmaxLoss(0.5, 0.25)(pos, neg, users=users).item():.6f}")
        -0.535068
    """

    needs = frozenset({"users"})
    ranges = searched(pos_temperature=Range(0.03, 1.0, log=True), neg_temperature=Range(0.03, 1.0, log=True))

    def __init__(self, pos_temperature: float = 0.1, neg_temperature: float = 0.1):
        super().__init__()
        self.pos_temperature = checks.positive("pos_temperature", pos_temperature)
        self.neg_temperature = checks.positive("neg_temperature", neg_temperature)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
        users: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        pos = at_least_float32(pos_scores) / self.pos_temperature  # (B,)
        pull = self.pos_temperature * log_mean_exp_by_group(pos, handed("users", users))  # (B,)
        push = log_mean_exp(at_least_float32(neg_scores), mask, sharpness=1 / self.neg_temperature, empty=0.0)  # (B,)
        return (self.neg_temperature * push - pull).mean()

    def rows(self) -> SoftMaximum:
        """Return the constants for the compiled engines."""
        return SoftMaximum(self.neg_temperature, self.neg_temperature, 1.0, self.pos_temperature)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.pos_temperature:g}, {self.neg_temperature:g}"


class GroupedSoftmaxLoss(Loss):
    r"""Softmax loss of a user's positives in the batch, whose push is weighed against its pull.  Also known as: BSL,
    mode "multi" of its repository.

    .. math::
        L = \frac1B \sum_b \Big( -\log \frac{1}{|G_b|} \sum_{c \in G_b} e^{s_c/\tau}
        + w_- \log \frac1N \sum_n e^{s_{bn}/\tau} \Big)

    Letters as in ``BilateralSoftmaxLoss``; one temperature, and a weight :math:`w_-`, ``neg_weight``, of the push.

    Use:
        softmax: the same, with the form that BSL's published numbers come from.
    Args:
        temperature: what scores are divided by, above 0; published: 0.11 (Yelp2018), 0.08 (Gowalla), 0.17 (ML-1M).
        neg_weight: of the push, above 0; published: 1.10, 1.22, 1.06; 1 is what its repository calls SL there.

    Returns:
        () float: ``forward`` gives the mean over the batch, in the dtype of the scores, at least float32.
    Raises:
        ArgumentError: the temperature or weight is not above 0, or no users are handed over.
    Relations:
        where all users of a batch differ, ``ReweightedSoftmaxLoss``.
    Source:
        Wu et al. 2024, arXiv 2312.12882; junkangwu/BSL @89e0267, ``utils/losses.py``, mode "multi" (its second
        temperature is our ``neg_weight``).
    Differs:
        none known. The port of it in mgulcin/mmcl groups rows by their exponentiated score instead of their user, which
        leaves every row alone.
    Example:
        >>> import torch
        >>> pos, neg, users = torch.tensor([0.8, 0.2]), torch.tensor([[0.3], [-0.2]]), torch.tensor([5, 5])
        >>> print(f"{GroupedSoftmaxLoss(0.5, neg_weight=2.0)(pos, neg, users=users).item():.6f}")
        -0.970135
    """

    needs = frozenset({"users"})
    ranges = searched(temperature=Range(0.03, 1.0, log=True), neg_weight=Range(0.5, 2.0))

    def __init__(self, temperature: float = 0.1, *, neg_weight: float = 1.1):
        super().__init__()
        self.temperature = checks.positive("temperature", temperature)
        self.neg_weight = checks.positive("neg_weight", neg_weight)

    def forward(
        self,
        pos_scores: Float[Tensor, " B"],
        neg_scores: Float[Tensor, "B N"],
        *,
        log_q: Float[Tensor, "B N"] | None = None,  # noqa: ARG002 - the law of the draws plays no part
        mask: Bool[Tensor, "B N"] | None = None,
        users: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss; arguments as in ``Loss.forward``, ``log_q`` unused."""
        pull = log_mean_exp_by_group(at_least_float32(pos_scores) / self.temperature, handed("users", users))  # (B,)
        push = log_mean_exp(at_least_float32(neg_scores), mask, sharpness=1 / self.temperature, empty=0.0)  # (B,)
        return (self.neg_weight * push - pull).mean()

    def rows(self) -> SoftMaximum:
        """Return the constants for the compiled engines."""
        return SoftMaximum(self.temperature, self.neg_weight, 1 / self.temperature, self.temperature)

    def extra_repr(self) -> str:
        """Return the arguments, for ``repr``."""
        return f"{self.temperature:g}, neg_weight={self.neg_weight:g}"
