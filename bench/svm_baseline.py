#!/usr/bin/env python3
"""What a linear SVM on TF-IDF reaches on the rows that Constellation trains on, beside what Constellation reaches.

Reads the folder layout of a Hugging Face dataset repository from CONSTELLATION_DATA_DIR. A CSV without a published
split (DBpedia's sample) is cut by a fixed rule, every tenth row to the test set; `--write-csv DIR` writes that cut out
as two files with a header, so that another program can be given the same rows.

    CONSTELLATION_DATA_DIR=... python bench/svm_baseline.py ag_news imdb
    CONSTELLATION_DATA_DIR=... python bench/svm_baseline.py imdb --constellation target/release/constellation

One JSON line a dataset: {dataset, rows_train, rows_test, svm_accuracy[, constellation_accuracy, difference, ...]}.
`difference` is Constellation minus SVM: negative means the SVM is better. Exit code 1 if `--within` is given and
Constellation is further below than that, or if a demo failed.
"""

import argparse
import csv
import gzip
import io
import json
import os
import pathlib
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy
import pyarrow.parquet as parquet
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

# Dataset name -> (folder that holds train and test, columns whose texts are joined by a space).
PARQUET = {
    "ag_news": ("fancyzhx/ag_news/data", ["text"]),
    "imdb": ("stanfordnlp/imdb/plain_text", ["text"]),
    "yelp": ("fancyzhx/yelp_polarity/plain_text", ["text"]),
    "yelp_full": ("Yelp/yelp_review_full/yelp_review_full", ["text"]),
    "amazon": ("fancyzhx/amazon_polarity/amazon_polarity", ["title", "content"]),
}
DBPEDIA = "raw/dbpedia/dbpedia_csv/sample_7600.csv.gz"
TEST_EVERY = 10


@dataclass
class Split:
    """Texts and class numbers of one split, in file order."""

    texts: list[str]
    labels: numpy.ndarray


def main() -> int:
    arguments = parse_arguments()
    folder = data_folder()
    failed = False
    for name in arguments.datasets:
        train, test = read(folder, name)
        if arguments.write_csv and name == "dbpedia":
            write_csv(arguments.write_csv, name, train, test)
        line = {"dataset": name, "rows_train": len(train.texts), "rows_test": len(test.texts)}
        line |= svm(train, test, arguments.c)
        if arguments.constellation:
            line |= constellation(arguments, name)
            accuracy = line.get("constellation_accuracy")
            if accuracy is None:
                failed = True
            else:
                line["difference"] = round(accuracy - line["svm_accuracy"], 4)
                failed |= arguments.within is not None and line["difference"] < -arguments.within
        print(json.dumps(line), flush=True)
    return 1 if failed else 0


def parse_arguments() -> argparse.Namespace:
    names = [*PARQUET, "dbpedia"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="*", default=names, metavar="DATASET", help=f"of {', '.join(names)}")
    parser.add_argument("--c", type=float, default=1.0, help="the SVM's C (scikit-learn's default: 1)")
    parser.add_argument("--constellation", metavar="PROGRAM", help="also run `PROGRAM demo --dataset NAME`")
    parser.add_argument("--demo-arguments", default="", help="further arguments of the demo, in one string")
    parser.add_argument("--within", type=float, help="fail if Constellation is further than this below the SVM")
    parser.add_argument("--write-csv", type=pathlib.Path, metavar="DIR", help="write DBpedia's two splits there")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.datasets if name not in names]
    if unknown:
        parser.error(f"unknown dataset {unknown[0]}: one of {', '.join(names)}")
    return arguments


def data_folder() -> pathlib.Path:
    folder = os.environ.get("CONSTELLATION_DATA_DIR")
    if not folder:
        sys.exit("set CONSTELLATION_DATA_DIR to the folder that holds the datasets (the layout of the hub)")
    return pathlib.Path(folder)


def read(folder: pathlib.Path, name: str) -> tuple[Split, Split]:
    if name == "dbpedia":
        return read_dbpedia(folder / DBPEDIA)
    sub, columns = PARQUET[name]
    return read_parquet(folder / sub, "train", columns), read_parquet(folder / sub, "test", columns)


def read_parquet(folder: pathlib.Path, split: str, columns: list[str]) -> Split:
    files = sorted(folder.glob(f"{split}-*.parquet"))
    if not files:
        sys.exit(f"no {split}-*.parquet in {folder}")
    table = parquet.ParquetDataset(files).read(columns=[*columns, "label"])
    texts = [" ".join(parts) for parts in zip(*(table[column].to_pylist() for column in columns))]
    return Split(texts, table["label"].to_numpy())


def read_dbpedia(path: pathlib.Path) -> tuple[Split, Split]:
    """Class (from 1), title, abstract; no header."""
    with gzip.open(path) as raw:
        rows = list(csv.reader(io.TextIOWrapper(raw, encoding="utf-8", newline="")))
    texts = [f"{title} {abstract}" for _, title, abstract in rows]
    labels = numpy.array([int(number) - 1 for number, _, _ in rows])
    in_test = numpy.arange(len(rows)) % TEST_EVERY == 0

    def pick(mask: numpy.ndarray) -> Split:
        return Split([text for text, wanted in zip(texts, mask) if wanted], labels[mask])

    return pick(~in_test), pick(in_test)


def write_csv(folder: pathlib.Path, name: str, train: Split, test: Split) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", train), ("test", test)):
        with open(folder / f"{name}-{split}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows(zip(rows.texts, rows.labels.tolist()))


def svm(train: Split, test: Split, c: float) -> dict:
    started = time.perf_counter()
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=numpy.float32)
    classifier = LinearSVC(C=c).fit(vectorizer.fit_transform(train.texts), train.labels)
    accuracy = classifier.score(vectorizer.transform(test.texts), test.labels)
    return {"svm_accuracy": round(accuracy, 4), "svm_seconds": round(time.perf_counter() - started, 1)}


def constellation(arguments: argparse.Namespace, name: str) -> dict:
    """Runs the demo on the same rows and takes the figures of its last line."""
    command = [arguments.constellation, "demo", "--dataset", name, *arguments.demo_arguments.split()]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    lines = [line for line in run.stdout.splitlines() if line.startswith("demo: ")]
    if run.returncode != 0 or not lines:
        return {"constellation_error": f"{' '.join(command)}: exit code {run.returncode}, no figures"}
    figures = dict(pair.split("=", 1) for pair in lines[-1].removeprefix("demo: ").split() if "=" in pair)
    return {
        "constellation_accuracy": float(figures["test_accuracy"]),
        "rounds": int(figures["rounds"]),
        "seconds": float(figures["seconds"]),
        "model_blake3": figures["model_blake3"],
    }


if __name__ == "__main__":
    sys.exit(main())
