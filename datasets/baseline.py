"""What a bag of words reaches on a data set: TF-IDF and logistic regression, scikit-learn's defaults.

Usage:  pip install scikit-learn
        python datasets/baseline.py [FOLDER]        (default: datasets/support-tickets)

FOLDER holds train.csv and test.csv (and perhaps validation.csv) with the columns `text` and `label`. Prints accuracy in
percent. A fine-tuned encoder that does not beat this number has learnt nothing that counting words would not have taught it.
"""
import csv
import pathlib
import sys

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "support-tickets"


def read(split):
    with open(folder / f"{split}.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)).fit(*read("train"))
for split in ("validation", "test"):
    if (folder / f"{split}.csv").exists():
        print(f"{split} {100 * model.score(*read(split)):.1f} %")
