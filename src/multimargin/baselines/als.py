"""Alternating least squares, by the package ``implicit``."""

import warnings

import numpy as np
import scipy.sparse

from multimargin import checks
from multimargin.baselines.base import Baseline
from multimargin.data.interactions import Interactions
from multimargin.kernels.threads import get_threads
from multimargin.ranges import Range, searched
from multimargin.recommend.als_scorer import AlternatingScorer
from multimargin.recommend.scorer import Scorer


class ALS(Baseline):
    r"""Two tables fitted to 0 and 1 for all pairs, by turns.  Also known as: iALS, WRMF, implicit matrix factorisation.

    .. math:: \min_{U, V} \sum_{u, i} c_{ui} (x_{ui} - u_u^\top v_i)^2 + \lambda \Bigl( \sum_u \|u_u\|^2 +
              \sum_i \|v_i\|^2 \Bigr), \qquad c_{ui} = \alpha \text{ where } x_{ui} = 1, \text{ else } 1

    Use:
        without training: vectors in seconds, by the package implicit.
    Args:
        embedding_dim: D, 1 or more.
        regularization: λ, 0 or more.
        confidence: α, above 0; 1 weighs all pairs alike.
        iterations: of both tables, 1 or more.

    Raises:
        ArgumentError: ``build`` without the package; get it with pip install 'multimargin[als]'.
    Relations:
        Vectors and dot products, as MF with similarity "dot": export works, and fold_in, by the same least squares.
    Source:
        Hu, Koren, Volinsky, ICDM 2008; the package is benfred/implicit, whose defaults these are but for D (there 100).
    Differs:
        none known: the package trains; its random numbers come from our seed.
    Example:
        >>> ALS(32).embedding_dim
        32
    """

    ranges = searched(regularization=Range(1e-4, 10.0, log=True), confidence=Range(0.1, 100.0, log=True))

    def __init__(
        self, embedding_dim: int = 64, *, regularization: float = 0.01, confidence: float = 1.0, iterations: int = 15
    ):
        self.embedding_dim = checks.positive_int("embedding_dim", embedding_dim)
        self.regularization = checks.not_negative("regularization", regularization)
        self.confidence = checks.positive("confidence", confidence)
        self.iterations = checks.positive_int("iterations", iterations)

    def build(self, train: Interactions, *, rng: np.random.Generator) -> Scorer:
        """Let the package train."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it says of threads of matrix libraries, on import and later
            try:
                from implicit.als import AlternatingLeastSquares
            except ImportError:
                way_out = "Get it with: pip install 'multimargin[als]'."
                checks.fail("als", "find the package implicit", "no such package", way_out)
            model = AlternatingLeastSquares(
                factors=self.embedding_dim,
                regularization=self.regularization,
                alpha=self.confidence,
                iterations=self.iterations,
                use_gpu=False,
                num_threads=get_threads(),
                random_state=int(rng.integers(2**31)),
            )
            # copies, for the package wants to be able to write
            parts = np.ones(len(train), dtype=np.float32), train.indices.copy(), train.indptr.astype(np.int32)
            rows = scipy.sparse.csr_matrix(parts, shape=(train.n_users, train.n_items))
            model.fit(rows, show_progress=False)
        return AlternatingScorer(
            model.user_factors,
            model.item_factors,
            regularization=self.regularization,
            confidence=self.confidence,
        )
