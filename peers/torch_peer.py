#!/usr/bin/env python3
"""Times loss and gradient of cross-entropy and seesaw by PyTorch, and by Liger's and Quack's kernels where installed.

The batches and the reference gradients are those that `longtail-peers --data FOLDER` wrote; every gradient is compared
with its reference before it is timed, and the largest difference, of the largest entry, is a column of the results.
Passes are queued without waiting for the one before. In every round each library has each shape once, and the least
round counts. On a GPU a round is timed by the device's clock too, with its passes queued before the first of them
begins, so that the device does not wait for the host; Liger waits for the device in every pass, which is part of its
time. Where there is a reference for bf16, cross-entropy is timed in bf16 too. Prints the device, and on stderr how far
it is.
"""

import argparse
import os
import sys
import time
from pathlib import Path

BEGIN = time.perf_counter()

# Idle threads sleep instead of spinning, so that processor time is work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HEADER = ("library,version,method,element,rows,classes,mode,wall_us,processor_us,device_us,extra_bytes,"
          "gradient_error")
MITIGATION, COMPENSATION, FLOOR = 0.8, 2.0, 0.01
# Seconds that a round of a contender takes, about. A GPU's own clock is disturbed by nothing else.
ROUND = {"cpu": 0.15, "cuda": 0.05}
# Numbers that are compared at a time.
CHUNK = 1 << 24


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that longtail-peers --data wrote")
    parser.add_argument("--csv", type=Path, help="keep the results")
    parser.add_argument("--device", choices=sorted(ROUND), help="default cuda where there is one")
    parser.add_argument("--threads", type=int, default=2, help="on the processor, default 2")
    parser.add_argument("--rounds", type=int, default=9, help="default 9")
    parser.add_argument("--shape", help="NxK, this shape alone")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True,
                        help="torch.compile too, which takes a while for each shape; default yes")
    parser.add_argument("--budget", type=float, default=float("inf"), metavar="SECONDS",
                        help="prepare nothing more after that many seconds, and print what is left out. On a GPU what "
                             "is quick to prepare comes first, then compiled cross-entropy in f32, compiled seesaw of "
                             "the fewest classes, compiled cross-entropy in bf16, and compiled seesaw of the other "
                             "shapes. The rounds come after that. Default: no end")
    return parser.parse_args()


def progress(what):
    print(f"{time.perf_counter() - BEGIN:6.1f} s: {what}", file=sys.stderr, flush=True)


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


def libraries(args):
    """(library, version, method, function) of all that is there."""
    version = torch.__version__
    name = "torch-eager" if args.device == "cuda" else f"torch-eager-{args.threads}t"
    found = [(name, version, "cross_entropy", cross_entropy), (name, version, "seesaw", seesaw)]
    if args.compile:
        # Every shape and element type is compiled by itself; beyond the limit they would run uncompiled. On a GPU sizes
        # are constants, as they are where batches have one shape.
        from torch._dynamo import config
        # Its name before PyTorch 2.6 was another.
        setattr(config, "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit", 64)
        name, dynamic = name.replace("eager", "compile"), False if args.device == "cuda" else None
        found += [(name, version, function.__name__, torch.compile(function, dynamic=dynamic))
                  for function in (cross_entropy, seesaw)]
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


def load(path, dtype):
    """A file's numbers, without a copy."""
    return torch.from_file(str(path), shared=False, size=path.stat().st_size // dtype.itemsize, dtype=dtype)


class Batch:
    """A shape's data on the device."""

    def __init__(self, folder, device):
        self.folder, self.name, self.device = folder, folder.name, device
        self.shape = tuple(map(int, folder.name.split("x")))
        self.logits = load(folder / "logits.f32", torch.float32).reshape(self.shape).to(device)
        self.labels = load(folder / "labels.i32", torch.int32).long().to(device)
        self.counts = load(folder / "counts.f32", torch.float32).to(device)
        self.references = {}

    def elements(self, method):
        """The element types that there are references for."""
        return [element for element in ("f32", "bf16") if self.file(method, element)]

    def file(self, method, element):
        stem = method if element == "f32" else f"{method}-{element}"
        files = (self.folder / f"{stem}.{precision}" for precision in ("f64", "f32"))
        return next((file for file in files if file.exists()), None)

    def reference(self, method, element):
        file = self.file(method, element)
        if file not in self.references:
            dtype = torch.float64 if file.suffix == ".f64" else torch.float32
            self.references[file] = load(file, dtype).to(self.device)
        return self.references[file]

    def own(self, element):
        """A contender's own logits, labels, counts: what one writes is not what another reads."""
        dtype = torch.bfloat16 if element == "bf16" else torch.float32
        return self.logits.to(dtype, copy=True), self.labels, self.counts.clone()


def largest_error(want, got):
    """NaN where the gradient has one or is infinite."""
    worst = top = torch.zeros((), dtype=torch.float64, device=got.device)
    for some, other in zip(want.flatten().split(CHUNK), got.flatten().split(CHUNK)):
        some = some.double()
        top = torch.maximum(top, some.abs().max())
        worst = torch.maximum(worst, (some - other.double()).abs().max())
    error = (worst / top).item()
    return error if error < float("inf") else float("nan")


class Contender:
    """A library with a batch of its own, ready to be timed."""

    def __init__(self, args, job, batch):
        self.place, (library, version, self.method, function), self.element = job
        self.args, self.library, self.version, self.function = args, library, version, function
        self.name, self.shape = batch.name, batch.shape
        self.logits, self.labels, self.counts = batch.own(self.element)
        leaf = self.logits.clone().detach().requires_grad_()
        self.function(leaf, self.labels, self.counts.clone()).backward()
        self.error = largest_error(batch.reference(self.method, self.element), leaf.grad)
        del leaf
        self.least, self.extra = [float("inf")] * 3, ""
        if args.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self.passes(1)
            # All but the gradient.
            size = self.logits.numel() * self.logits.element_size()
            self.extra = max(0, torch.cuda.max_memory_allocated() - before - size)
        for _ in range(3):
            self.passes(1)
        self.number = max(1, min(200, int(ROUND[args.device] / (self.passes(2)[0] / 2))))

    def wait(self):
        if self.args.device == "cuda":
            torch.cuda.synchronize()

    def queue(self, number):
        for _ in range(number):
            leaf = self.logits.detach().requires_grad_()
            self.function(leaf, self.labels, self.counts).backward()

    def passes(self, number):
        """Seconds of some passes by the wall's and the processors' clocks."""
        self.wait()
        wall, processor = time.perf_counter(), time.process_time()
        self.queue(number)
        self.queued = time.perf_counter() - wall
        self.wait()
        return time.perf_counter() - wall, time.process_time() - processor

    def device(self, number):
        """Seconds of some passes by the device's clock, which rests for as long as the host took to queue them."""
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.wait()
        # In cycles, of which an H100 has 1.98e9 in a second at most.
        torch.cuda._sleep(int(2.4e9 * min(self.queued, 0.1)))
        begin.record()
        self.queue(number)
        end.record()
        self.wait()
        return begin.elapsed_time(end) / 1e3

    def round(self):
        took = self.passes(self.number)
        if self.args.device == "cuda":
            took += (self.device(self.number),)
        self.least[:len(took)] = [min(least, now / self.number) for least, now in zip(self.least, took)]

    def result(self):
        """A line for people and one for the file."""
        (rows, classes), subject = self.shape, (self.library, self.version, self.method, self.element)
        wall, processor, device = (seconds * 1e6 for seconds in self.least)
        by_device, cell = "", ""
        if device < float("inf"):
            by_device, cell = f"device {device:>11.1f} us, ", f"{device:.1f}"
        text = (f"{self.method:<14} {self.element:<4} {rows:>5} x {classes:<7} {self.library:<16} "
                f"wall {wall:>11.1f} us, processor {processor:>11.1f} us, {by_device}"
                f"gradient off by {self.error:.1e} of its largest")
        line = (f"{','.join(subject)},{rows},{classes},loss_and_grad,{wall:.1f},{processor:.1f},{cell},{self.extra},"
                f"{self.error:.2e}")
        return text, line


def jobs(args, batches):
    """(place in the results, library, element) and batch of all that can be timed, in the order of preparation."""
    found = []
    all_libraries = libraries(args)
    for number, batch in enumerate(batches):
        for library in all_libraries:
            name, _, method, _ = library
            for element in batch.elements(method):
                if args.device == "cpu" or not name.startswith("torch-compile"):
                    turn = 0
                elif method == "cross_entropy":
                    turn = 1 if element == "f32" else 3
                else:
                    turn = 2 if number == 0 else 4
                found.append((turn, (len(found), library, element), batch))
    return [job[1:] for job in sorted(found, key=lambda job: job[0])]


def main():
    args = arguments()
    # Through a pipe too, so that what there was is seen if it is stopped.
    sys.stdout.reconfigure(line_buffering=True)
    global torch, F
    import torch
    import torch.nn.functional as F
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(args.threads)
    device = torch.cuda.get_device_name() if args.device == "cuda" else f"processor, {args.threads} threads"
    print(f"torch {torch.__version__} on: {device}")
    folders = sorted(args.data.iterdir(), key=lambda folder: int(folder.name.split("x")[1]))
    batches = [Batch(folder, args.device) for folder in folders if args.shape in (None, folder.name)]
    progress(f"loaded {' '.join(batch.name for batch in batches)}")
    contenders, late = [], []
    for job, batch in jobs(args, batches):
        _, (library, _, method, _), element = job
        name = f"{method} {element} {batch.name} {library}"
        if time.perf_counter() - BEGIN > args.budget:
            late.append(name)
            continue
        try:
            contenders.append(Contender(args, job, batch))
        except Exception as failure:  # A kernel that this device cannot run is no result.
            print(f"{name}: {type(failure).__name__}: {str(failure)[:200]}")
        progress(f"prepared {name}")
    if late:
        print(f"torch left out, {args.budget:.0f} s were over: {', '.join(late)}")
    contenders.sort(key=lambda contender: contender.place)
    for _ in range(args.rounds):
        for contender in contenders:
            contender.round()
    progress("timed")
    lines = [HEADER]
    for contender in contenders:
        text, line = contender.result()
        print(text)
        lines.append(line)
    if args.csv:
        args.csv.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
