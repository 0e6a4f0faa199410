#!/usr/bin/env python3
"""Times loss and gradient of cross-entropy and seesaw by PyTorch, and by Liger's and Quack's kernels where installed.

The batches and the f64 reference gradients are those that `longtail-peers --data FOLDER` wrote; every gradient is
compared with its reference before it is timed, and the largest difference, of the largest entry, is a column of the
results. Passes are queued without waiting for the one before. In every round each library has each shape once, and the
least round counts. Prints the device.
"""

import argparse
import os
import sys
import time
from pathlib import Path

# Idle threads sleep instead of spinning, so that processor time is work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HEADER = "library,version,method,element,rows,classes,mode,wall_us,processor_us,extra_bytes,gradient_error"
MITIGATION, COMPENSATION, FLOOR = 0.8, 2.0, 0.01


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that longtail-peers --data wrote")
    parser.add_argument("--csv", type=Path, help="keep the results")
    parser.add_argument("--device", default=None, help="cpu or cuda; default cuda where there is one")
    parser.add_argument("--threads", type=int, default=2, help="on the processor, default 2")
    parser.add_argument("--rounds", type=int, default=9, help="default 9")
    parser.add_argument("--shape", help="NxK, this shape alone")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True,
                        help="torch.compile too, which takes a while for each shape; default yes")
    return parser.parse_args()


def cross_entropy(logits, labels, counts):
    return F.cross_entropy(logits, labels)


def seesaw(logits, labels, counts):
    """Row by row, N x K temporaries; the usual implementation makes a K x K matrix."""
    counts.index_add_(0, labels, torch.ones_like(labels, dtype=counts.dtype))
    log_counts = counts.clamp_min(1).log()
    mitigation = MITIGATION * (log_counts[None, :] - log_counts[labels][:, None]).clamp_max(0)
    scores = F.softmax(logits.detach(), 1)
    own = scores.gather(1, labels[:, None]).clamp_min(FLOOR)
    compensation = COMPENSATION * (scores / own).log().clamp_min(0)
    return F.cross_entropy(logits + mitigation + compensation, labels)


def losses(args):
    """(library, version, method, function) of all that is there."""
    version = torch.__version__
    name = "torch-eager" if args.device == "cuda" else f"torch-eager-{args.threads}t"
    found = [(name, version, "cross_entropy", cross_entropy), (name, version, "seesaw", seesaw)]
    if args.compile:
        name = name.replace("eager", "compile")
        found += [(name, version, function.__name__, torch.compile(function)) for function in (cross_entropy, seesaw)]
    if args.device != "cuda":
        return found
    from importlib.metadata import PackageNotFoundError, version as version_of
    try:
        from liger_kernel.transformers.functional import liger_cross_entropy
        # It writes the gradient over the logits, so that later passes are over other values; the time is the same.
        found.append(("liger", version_of("liger-kernel"), "cross_entropy",
                      lambda logits, labels, counts: liger_cross_entropy(logits, labels)))
    except (ImportError, PackageNotFoundError) as error:
        print(f"no Liger: {error}")
    try:
        from quack.cross_entropy import cross_entropy as quack
        found.append(("quack", version_of("quack-kernels"), "cross_entropy",
                      lambda logits, labels, counts: quack(logits, labels, reduction="mean")))
    except (ImportError, PackageNotFoundError) as error:
        print(f"no Quack: {error}")
    return found


def largest_error(want, got):
    if not torch.isfinite(got).all():
        return float("nan")
    return ((want - got.double().cpu()).abs().max() / want.abs().max()).item()


class Contender:
    """A library with a batch of its own, ready to be timed."""

    def __init__(self, args, library, version, method, function, batch):
        self.args, self.name, self.function = args, (library, version, method), function
        self.logits, self.labels, self.counts = batch
        self.least, self.extra = (float("inf"), float("inf")), ""
        if args.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self.passes(1)
            self.extra = torch.cuda.max_memory_allocated() - before
        for _ in range(3):
            self.passes(1)
        self.number = max(1, min(200, int(0.15 / (self.passes(2)[0] / 2))))

    def wait(self):
        if self.args.device == "cuda":
            torch.cuda.synchronize()

    def passes(self, number):
        """Seconds of some passes by the wall's and the processors' clocks."""
        self.wait()
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(number):
            leaf = self.logits.detach().requires_grad_()
            self.function(leaf, self.labels, self.counts).backward()
        self.wait()
        return time.perf_counter() - wall, time.process_time() - processor

    def round(self):
        took = self.passes(self.number)
        self.least = tuple(min(least, now / self.number) for least, now in zip(self.least, took))


def main():
    args = arguments()
    global torch, F
    import torch
    import torch.nn.functional as F
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(args.threads)
    device = torch.cuda.get_device_name() if args.device == "cuda" else f"processor, {args.threads} threads"
    print(f"torch {torch.__version__} on: {device}")
    contenders = []
    for folder in sorted(args.data.iterdir(), key=lambda folder: int(folder.name.split("x")[1])):
        if args.shape and folder.name != args.shape:
            continue
        rows, classes = map(int, folder.name.split("x"))
        load = lambda name, dtype: torch.frombuffer(bytearray((folder / name).read_bytes()), dtype=dtype)
        logits = load("logits.f32", torch.float32).reshape(rows, classes).to(args.device)
        labels = load("labels.i32", torch.int32).long().to(args.device)
        counts = load("counts.f32", torch.float32).to(args.device)
        for library, version, method, function in losses(args):
            want = load(f"{method}.f64", torch.float64).reshape(rows, classes)
            try:
                leaf = logits.detach().clone().requires_grad_()
                function(leaf, labels, counts.clone()).backward()
                error = largest_error(want, leaf.grad)
                batch = (logits.clone(), labels, counts.clone())
                contenders.append((rows, classes, error, Contender(args, library, version, method, function, batch)))
            except Exception as failure:  # A kernel that this device cannot run is no result.
                print(f"{method} {folder.name} {library}: {type(failure).__name__}: {str(failure)[:200]}")
    for _ in range(args.rounds):
        for *_, contender in contenders:
            contender.round()
    lines = [HEADER]
    for rows, classes, error, contender in contenders:
        library, version, method = contender.name
        wall, processor = (seconds * 1e6 for seconds in contender.least)
        print(f"{method:<14} {rows:>4} x {classes:<7} {library:<16} wall {wall:>11.1f} us, "
              f"processor {processor:>11.1f} us, gradient off by {error:.1e} of its largest")
        lines.append(f"{library},{version},{method},f32,{rows},{classes},loss_and_grad,{wall:.1f},{processor:.1f},"
                     f"{contender.extra},{error:.2e}")
    if args.csv:
        args.csv.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
