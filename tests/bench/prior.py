"""How fast the paper's prior answers, beside diffusers' stock one: both measured in one run.

    python -m tests.bench.prior [--repeats 5] [--busy] [--json FILE]

The stock PriorTransformer is as wide and deep and computes all 77 text positions; ours leaves the
padding out. Prompts are the paper's templates with its subjects. Ratios are what to compare;
seconds are this machine's.
"""

import argparse
import json
from itertools import cycle
from pathlib import Path
from statistics import fmean, median

import torch
from torch import nn

from lambda_eclipse import paper
from lambda_eclipse.tokens import Tokenizer
from tests.bench.clocks import Clock, add_busy, choose, timed
from tests.bench.prompts import prompts
from tests.bench.stock import own_prior, padded, run_stock, stock_prior

BATCHES = (1, 16)
PROMPTS = 32


@torch.inference_mode()
def measure(
    ours: nn.Module, theirs: nn.Module, repeats: int, clock: Clock
) -> list[dict[str, float]]:
    """Rows of the table: seconds of each at each batch size, medians over different prompts."""
    masks = Tokenizer().encode(prompts(PROMPTS)).mask
    dim, rows = paper.EMBED_DIM, []
    for batch in BATCHES:
        groups = []
        for mask in masks.split(batch):
            lengths = tuple(mask.sum(1).tolist())
            states, full = padded(torch.randn(sum(lengths), dim), lengths)
            noise, pooled, control = (torch.randn(len(lengths), dim) for _ in range(3))
            # What the tower gives is as long as the longest prompt (`Clip.tokens`).
            kept = states[:, : max(lengths)], full[:, : max(lengths)]
            groups.append((noise, pooled, states, full, kept, control))
        turn, other = cycle(groups), cycle(groups)

        def fast(turn=turn) -> None:
            noise, pooled, _, _, kept, control = next(turn)
            ours(noise, pooled, *kept, control)

        def slow(other=other) -> None:
            noise, pooled, states, mask, _, _ = next(other)
            run_stock(theirs, noise, pooled, states, mask)

        fast(), slow()
        own_s, stock_s = [], []
        for _ in range(repeats):  # side by side, so that other load meets both
            own_s += [timed(clock, fast) for _ in groups]
            stock_s += [timed(clock, slow) for _ in groups[:4]]
        own, stock = median(own_s), median(stock_s)
        rows.append({"batch": batch, "seconds": own, "stock": stock, "ratio": stock / own})
    print(f"{fmean(masks.sum(1).tolist()):.1f} of {paper.TEXT_POSITIONS} text positions are used")
    return rows


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure the prior's inference.")
    parser.add_argument("--repeats", type=int, default=5)
    add_busy(parser)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    networks = own_prior().eval(), stock_prior().eval()
    rows = measure(*networks, arguments.repeats, choose(arguments.busy))
    print(f"{torch.get_num_threads()} threads, float32")
    print(f"{'batch':>8}{'seconds':>10}{'stock':>10}{'ratio':>8}")
    for row in rows:
        print(f"{row['batch']:8}{row['seconds']:10.4f}{row['stock']:10.4f}{row['ratio']:8.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
