"""Every kind of scorer by the name that stands in a saved model."""

from multimargin.recommend.als_scorer import AlternatingScorer
from multimargin.recommend.filter_scorer import FilterScorer
from multimargin.recommend.fold_in_scorer import FoldInScorer
from multimargin.recommend.history_scorer import LinearScorer
from multimargin.recommend.scorer import Scorer
from multimargin.recommend.table_scorer import TableScorer

__all__ = ["SCORERS"]

SCORERS: dict[str, type[Scorer]] = {
    each.kind: each for each in (TableScorer, LinearScorer, FilterScorer, AlternatingScorer, FoldInScorer)
}
