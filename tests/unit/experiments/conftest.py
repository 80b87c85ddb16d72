"""One small comparison, made once."""

import pytest
from toy import TINY, write_events


@pytest.fixture(scope="session")
def compared(tmp_path_factory):
    """Two recipes with two seeds each, and a third made of the first by another number of negatives."""
    from multimargin.experiments.compare import compare

    folder = tmp_path_factory.mktemp("compared")
    events = write_events(folder / "events.csv")
    overrides = [each for each in TINY if not each.startswith("n_negatives")]
    return compare(
        ["mf-mml"],
        data=events,
        seeds=2,
        overrides=overrides,
        vary={"n_negatives": [2, 9]},
        folder=folder / "comparison",
        progress=False,
    )
