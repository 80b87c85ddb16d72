"""Recommendation: exact lists by outside ids, from two tables of vectors or from histories."""

from multimargin.recommend.export import write_frames
from multimargin.recommend.fold_in import fold_in
from multimargin.recommend.history_scorer import Histories, HistoryScorer, LinearScorer
from multimargin.recommend.popularity import choose_popularity, with_popularity
from multimargin.recommend.recommender import Recommender
from multimargin.recommend.scorer import Scorer
from multimargin.recommend.table_scorer import TableScorer
from multimargin.recommend.top_k import Catalogue, SeenItems, normalised, top_k

__all__ = [
    "Catalogue",
    "Histories",
    "HistoryScorer",
    "LinearScorer",
    "Recommender",
    "Scorer",
    "SeenItems",
    "TableScorer",
    "choose_popularity",
    "fold_in",
    "normalised",
    "top_k",
    "with_popularity",
    "write_frames",
]
