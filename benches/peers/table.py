"""Medians, spreads and ratios of what was measured in turn, and the table of them. Standard library only."""

import statistics


class Reading:
    """One number that a turn gives: its key, what it is, its unit, and whether more of it is better."""

    def __init__(self, key, title, unit, more_is_better):
        self.key, self.title, self.unit, self.more_is_better = key, title, unit, more_is_better

    def ratio(self, ours, theirs):
        """How many times better ours is; above 1 is a win for ferrotune."""
        return ours / theirs if self.more_is_better else theirs / ours


def spread(values):
    """(largest - smallest) / median."""
    return (max(values) - min(values)) / statistics.median(values)


def summary(reading, ours, theirs):
    """Compares the values of two contestants, turn by turn."""
    ratios = [reading.ratio(our, their) for our, their in zip(ours, theirs)]
    return {
        "ours": statistics.median(ours),
        "ours_spread": spread(ours),
        "theirs": statistics.median(theirs),
        "theirs_spread": spread(theirs),
        "ratio": statistics.median(ratios),
        "ratio_smallest": min(ratios),
        "ratio_largest": max(ratios),
    }


def number(value):
    """Three digits that matter."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def line(title, opponent, unit, result):
    """One row of the table, from a `summary`."""
    def of(which):
        return f"{number(result[which])} {unit} (±{50 * result[which + '_spread']:.0f} %)"

    ratio = f"**{result['ratio']:.2f}** ({result['ratio_smallest']:.2f} to {result['ratio_largest']:.2f})"
    return f"| {title} | {of('ours')} | {opponent} | {of('theirs')} | {ratio} |"


def missing(title, opponent, why):
    """One row of the table for an opponent that did not run."""
    return f"| {title} | | {opponent} | {why} | |"


HEADER = """\
| what | ferrotune | opponent | opponent's | times better |
|---|---|---|---|---|"""
