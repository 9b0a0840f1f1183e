#!/usr/bin/env python3
"""Times Flower's own weighted mean of many updates, from bytes in memory, beside this machine's copy bandwidth.

    python bench/flower_aggregate.py [--updates 100] [--parameters 10000000] [--repeats 3]

It calls `flwr.serverapp.strategy.strategy_utils.aggregate_arrayrecords`, the function that Flower's FedAvg calls, on
records whose arrays hold serialized float32 values. 100 updates of 10 M parameters would be 4 GB: the records share a
few distinct buffers (`--distinct`), each too large for a cache, so memory stays bounded and every update is still read.
One JSON line: update bytes a second (the median run), and bytes a second that a copy of one buffer moves (bytes
copied, counted once), measured in the same process.
"""

import argparse
import json
import statistics
import sys
import time

import flwr
import numpy
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords

WEIGHT = "num-examples"


def main() -> None:
    arguments = parse_arguments()
    records = build_records(arguments.updates, arguments.parameters, arguments.distinct)
    check(records, arguments)
    seconds = [time_once(records) for _ in range(arguments.repeats)]
    total = arguments.updates * arguments.parameters * 4
    line = {
        "updates": arguments.updates,
        "parameters": arguments.parameters,
        "update_bytes": total,
        "seconds": round(statistics.median(seconds), 3),
        "bytes_per_second": round(total / statistics.median(seconds)),
        "bytes_per_second_best": round(total / min(seconds)),
        "copy_bytes_per_second": round(copy_bandwidth(arguments.parameters)),
        "flwr": flwr.__version__,
        "numpy": numpy.__version__,
    }
    print(json.dumps(line))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--parameters", type=int, default=10_000_000, help="of one update, float32")
    parser.add_argument("--distinct", type=int, default=4, help="buffers that the updates share")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def build_records(updates: int, parameters: int, distinct: int) -> list[RecordDict]:
    generator = numpy.random.default_rng(0)
    arrays = [
        Array(generator.standard_normal(parameters, dtype=numpy.float32) * numpy.float32(0.01))
        for _ in range(min(distinct, updates))
    ]
    return [
        RecordDict(
            {
                "arrays": ArrayRecord({"parameters": arrays[index % len(arrays)]}),
                "metrics": MetricRecord({WEIGHT: float(100 + index)}),
            }
        )
        for index in range(updates)
    ]


def check(records: list[RecordDict], arguments: argparse.Namespace) -> None:
    """The first two records' mean is what it must be: the records are read as they were meant (and code is warm)."""
    pair = records[:2]
    mean = next(iter(aggregate_arrayrecords(pair, WEIGHT).values())).numpy()
    weights = numpy.array([record["metrics"][WEIGHT] for record in pair])
    values = [record["arrays"]["parameters"].numpy().astype(numpy.float64) for record in pair]
    expected = sum(weight * value for weight, value in zip(weights, values)) / weights.sum()
    if mean.shape != (arguments.parameters,) or not numpy.allclose(mean, expected, atol=1e-7):
        sys.exit("Flower's mean of the first two records is not the weighted mean")


def time_once(records: list[RecordDict]) -> float:
    started = time.perf_counter()
    aggregate_arrayrecords(records, WEIGHT)
    return time.perf_counter() - started


def copy_bandwidth(parameters: int) -> float:
    """Bytes a second of the best of ten copies between two buffers that are already mapped."""
    source, target = numpy.ones(parameters, numpy.float32), numpy.zeros(parameters, numpy.float32)
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        numpy.copyto(target, source)
        best = min(best, time.perf_counter() - started)
    return source.nbytes / best


if __name__ == "__main__":
    main()
