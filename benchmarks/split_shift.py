"""Is a test file a random part of the data? How much of each item's interactions it holds, by the item's popularity.

    python benchmarks/split_shift.py FOLDER ...

A random split takes the same share of popular items as of others. Where it does not, whoever ranks popular items higher
(or lower) than the training data says gains on the test file, and not on validation data drawn from the training file.
"""

import argparse
from pathlib import Path

import numpy as np

from multimargin.data import read_parts

_BOUNDS = (10, 20, 50, 200, 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    for folder in parser.parse_args().folders:
        parts = read_parts(folder)
        if parts.test is None:
            parser.error(f"{folder} must hold a test file")
        held_out, total = parts.test.item_counts, parts.test.item_counts + parts.train.item_counts
        print(f"{folder.name}: share of interactions in the test file, {held_out.sum() / total.sum():.3f} in all")
        for low, high in zip((1, *_BOUNDS), (*_BOUNDS, np.inf), strict=True):
            group = (total >= low) & (total < high)
            if total[group].sum():
                share, items = held_out[group].sum() / total[group].sum(), group.sum()
                print(f"  items with {low:>4} or more, below {high:>4}: {share:.3f} ({items:,} items)")


if __name__ == "__main__":
    main()
