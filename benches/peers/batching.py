"""Which rows form a batch, and how a batch is padded. Standard library only; all opponents share these plans.

static  = batches in the order of the file, every row padded to the longest row of the file
dynamic = batches in the order of the file, each padded to its own longest row
grouped = rows of similar length together: megabatches of 50 batches are sorted by length, and the batches shuffled
"""

import random

MEGABATCH = 50
STATIC, DYNAMIC, GROUPED = "static", "dynamic", "grouped"


def plan(lengths, batch_size, batching, seed=0):
    """The row numbers of each batch; every row is in exactly one."""
    order = list(range(len(lengths)))
    if batching == GROUPED:
        step = MEGABATCH * batch_size
        parts = [order[at:at + step] for at in range(0, len(order), step)]
        order = [row for part in parts for row in sorted(part, key=lambda row: -lengths[row])]
    batches = [order[at:at + batch_size] for at in range(0, len(order), batch_size)]
    if batching == GROUPED:
        random.Random(seed).shuffle(batches)
    return batches


def width(lengths, batch, batching):
    """The length to which the rows of this batch are padded."""
    rows = range(len(lengths)) if batching == STATIC else batch
    return max(lengths[row] for row in rows)


def padded(tokens, batch, to):
    """Ids and mask of a batch: lists of lists of this width. 0 is BERT's padding id."""
    rows = [tokens[row] for row in batch]
    ids = [row + [0] * (to - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (to - len(row)) for row in rows]
    return ids, mask


def padding_share(lengths, batches, batching):
    """The share of the positions of a pass that hold padding."""
    positions = sum(len(batch) * width(lengths, batch, batching) for batch in batches)
    return 1.0 - sum(lengths) / positions
