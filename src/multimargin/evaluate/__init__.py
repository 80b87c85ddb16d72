"""Evaluation: full ranking in blocks, by definitions that are written down."""

import sys
from types import ModuleType

from multimargin.evaluate.metrics import METRICS, all_metrics, hits_of, metric_name
from multimargin.evaluate.protocol import Evaluation, Evaluator, evaluate

__all__ = ["METRICS", "Evaluation", "Evaluator", "all_metrics", "evaluate", "hits_of", "metric_name"]


class _CallablePackage(ModuleType):
    """``mm.evaluate(model, test)`` is the function, although ``multimargin.evaluate`` names this package too."""

    __call__ = staticmethod(evaluate)


sys.modules[__name__].__class__ = _CallablePackage
