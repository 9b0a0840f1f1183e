#!/usr/bin/env python3
"""Milliseconds a training step in PyTorch on the CPU, for the models whose step `make bench` times in Constellation.

    python bench/torch_step.py --threads 2 [--model cnn --model text_bag] [--steps 200]

A step is forward, cross-entropy, backward and a plain SGD update on a batch that is already in memory. The figure is
the median after a warm-up. One JSON line a model: {model, parameters, batch_size, threads, steps, milliseconds, ...}.
The models are the presets of the same names; `text_bag` has dense gradients as in Constellation, `text_bag_sparse`
(PyTorch's sparse gradients) stands beside it for information; `text_bag_adam` is the optimizer of the text default.
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn

IDS_A_ROW = 60


class TextBag(nn.Module):
    """Ids [batch, length] -> logits [batch, classes]; the bag is the sum over the square root of its length."""

    def __init__(self, buckets: int, dimension: int, classes: int, sparse: bool):
        super().__init__()
        self.bag = nn.EmbeddingBag(buckets, dimension, mode="sum", sparse=sparse)
        self.out = nn.Linear(dimension, classes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.bag(ids) * ids.shape[1] ** -0.5)


def cnn() -> nn.Module:
    """The MNIST CNN of McMahan et al. 2017 (arXiv 1602.05629, section 3): 1,663,370 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 512), nn.ReLU(), nn.Linear(512, 10),
    )  # fmt: skip


def mlp() -> nn.Module:
    """The 2NN of the same paper: 199,210 parameters."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10)
    )


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    for name in arguments.model or MODELS:
        torch.manual_seed(0)
        model, inputs, classes = build(name, arguments)
        targets = torch.randint(classes, (arguments.batch_size,))
        optimizer = (
            torch.optim.Adam(model.parameters(), lr=1e-3)
            if name == "text_bag_adam"
            else torch.optim.SGD(model.parameters(), lr=0.01)
        )
        times = time_steps(model, inputs, targets, optimizer, arguments)
        line = {
            "model": name,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "batch_size": arguments.batch_size,
            "threads": arguments.threads,
            "steps": len(times),
            "milliseconds": round(statistics.median(times), 3),
            "milliseconds_fastest_tenth": round(sorted(times)[len(times) // 10], 3),
            "torch": torch.__version__,
        }
        print(json.dumps(line), flush=True)


MODELS = ["cnn", "mlp", "text_bag", "text_bag_adam", "text_bag_sparse"]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", choices=MODELS, help="may be given several times; default: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=200, help="timed steps")
    parser.add_argument("--warm-up", type=int, default=20, help="steps before the first timed one")
    parser.add_argument("--buckets", type=int, default=131072, help="rows of text_bag's table")
    parser.add_argument("--dimension", type=int, default=8, help="columns of text_bag's table")
    parser.add_argument("--classes", type=int, default=4, help="of text_bag")
    return parser.parse_args()


def build(name: str, arguments: argparse.Namespace) -> tuple[nn.Module, torch.Tensor, int]:
    """The model, one batch of inputs for it, and its number of classes."""
    if name in ("cnn", "mlp"):
        return (cnn() if name == "cnn" else mlp()), torch.rand(arguments.batch_size, 1, 28, 28), 10
    model = TextBag(arguments.buckets, arguments.dimension, arguments.classes, sparse=name == "text_bag_sparse")
    ids = torch.randint(1, arguments.buckets, (arguments.batch_size, IDS_A_ROW))
    return model, ids, arguments.classes


def time_steps(model, inputs, targets, optimizer, arguments: argparse.Namespace) -> list[float]:
    """Milliseconds of each timed step."""
    times = []
    for step in range(arguments.warm_up + arguments.steps):
        started = time.perf_counter()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
        if step >= arguments.warm_up:
            times.append((time.perf_counter() - started) * 1000)
    return times


if __name__ == "__main__":
    main()
