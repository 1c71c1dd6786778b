"""How well watermarks survive, ours beside packages that need no download and no GPU.

    python -m tests.bench.watermark [--json FILE]

Packages are measured if they are there. They ask for a second OpenCV, so install them without:
`pip install --no-deps PyWavelets invisible-watermark blind-watermark`. Each writes 32 bits and
reads them back after each attack; a halved picture is scaled up again before. Pictures: the pocket
stack's, and photographs of scikit-image.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from lambda_eclipse.mark import watermark
from lambda_eclipse.mark.keys import signing_key
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request
from tests.support.attacks import ATTACKS

PROMPTS = (
    "a cat wearing a hat on the beach",
    "a dog in the snow",
    "a robot next to a castle",
    "a fox in the garden",
    "a car on a cobblestone street",
    "a cat",
    "a boat in the jungle",
    "a dog wearing glasses",
)
PHOTOGRAPHS = (
    "coffee.png",
    "astronaut.png",
    "motorcycle_left.png",
    "rocket.jpg",
    "ihc.png",
    "hubble_deep_field.jpg",
    "retina.jpg",
    "color.png",
)
SIZES = (128, 256, 512)
WORD = np.unpackbits(np.frombuffer(watermark.WORD, np.uint8))
Writer = Callable[[Image.Image], Image.Image]
Reader = Callable[[Image.Image], int]


def candidates() -> Iterator[tuple[str, Writer, Reader]]:
    """Name, how to write and how to read, which gives the number of right bits."""
    yield "ours", watermark.add, lambda image: watermark.find(image).bits
    with suppress(ImportError):
        from imwatermark.dwtDctSvd import EmbedDwtDctSvd
        from imwatermark.maxDct import EmbedMaxDct
        from imwatermark.rivaGan import RivaWatermark

        RivaWatermark.loadModel()
        for name, method in (
            ("invisible-watermark dwtDct", EmbedMaxDct),
            ("invisible-watermark dwtDctSvd", EmbedDwtDctSvd),
            ("invisible-watermark rivaGan", RivaWatermark),
        ):
            yield (
                name,
                lambda image, method=method: picture(method(WORD, 32).encode(bgr(image))),
                lambda image, method=method: right(method([], 32).decode(bgr(image))),
            )
    multiprocessing.set_start_method(None, force=True)  # importing the package sets it, once
    with suppress(ImportError):
        from blind_watermark.bwm_core import WaterMarkCore

        def write(image: Image.Image) -> Image.Image:
            core = WaterMarkCore()
            core.read_img_arr(bgr(image))
            core.read_wm(WORD)
            return picture(core.embed())

        yield (
            "blind-watermark",
            write,
            lambda image: right(WaterMarkCore().extract_with_kmeans(bgr(image), 32)),
        )


def bgr(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 in OpenCV's order."""
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


def picture(array: np.ndarray) -> Image.Image:
    """The inverse of `bgr`, rounded."""
    return Image.fromarray(np.ascontiguousarray(array[:, :, ::-1].round().clip(0, 255), np.uint8))


def right(bits: np.ndarray) -> int:
    """How many of 32 bits are as written."""
    return int((np.asarray(bits).astype(int) == WORD).sum())


def sets(studio: Studio) -> tuple[dict[str, list[Image.Image]], float]:
    """Pictures by kind and size, and the seconds that painting one of them takes."""
    requests = [Request(prompt, seed=seed) for seed, prompt in enumerate(PROMPTS)]
    studio.generate(requests[0])
    began = time.perf_counter()
    found = {"pocket 128": [studio.generate(one)[0].image for one in requests]}
    painting_s = (time.perf_counter() - began) / len(requests)
    from skimage import data

    for side in SIZES:
        found[f"photographs {side}"] = []
        for name in PHOTOGRAPHS:
            image = Image.open(Path(data.__file__).parent / name).convert("RGB")
            least = min(image.size)
            left, top = ((length - least) // 2 for length in image.size)
            square = image.crop((left, top, left + least, top + least))
            small = square.resize((side, side), Image.Resampling.LANCZOS)
            found[f"photographs {side}"].append(small)
    return found, painting_s


def measure(write: Writer, read: Reader, images: list[Image.Image], rescales: bool) -> dict:
    """Least PSNR in dB; median seconds to write; share of right bits, mean and least."""
    rows: dict[str, list[float]] = {name: [] for name in ATTACKS}
    psnr, seconds = [], []
    for image in images:
        began = time.perf_counter()
        marked = write(image)
        seconds.append(time.perf_counter() - began)
        difference = np.asarray(marked, float) - np.asarray(image, float)
        psnr.append(float(10 * np.log10(255**2 / np.mean(difference**2))))
        for name, attack in ATTACKS.items():
            found = attack(marked)
            if name == "half" and rescales:
                found = found.resize(image.size, Image.Resampling.BICUBIC)
            rows[name].append(read(found) / 32)
    bits = {name: [float(np.mean(values)), min(values)] for name, values in rows.items()}
    return {"psnr": min(psnr), "seconds": statistics.median(seconds), "bits": bits}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure watermarks.")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    pictures, painting_s = sets(Studio.open("pocket", "cpu"))
    print("least PSNR in dB, ms to write, right bits in %: mean (least)")
    print(f"{'watermark':30}{'pictures':17}{'dB':>5}{'ms':>6}", *(f"{n:>12}" for n in ATTACKS))
    rows = []
    for name, write, read in candidates():
        for kind, images in pictures.items():
            row = measure(write, read, images, rescales=name != "ours")
            rows.append({"name": name, "pictures": kind, **row})
            cells = (f"{mean:>6.0%} ({least:.0%})" for mean, least in row["bits"].values())
            print(
                f"{name:30}{kind:17}{row['psnr']:5.1f}{1000 * row['seconds']:6.0f}",
                *(f"{cell:>12}" for cell in cells),
                flush=True,
            )
    unmarked = [watermark.find(image).score for images in pictures.values() for image in images]
    print(f"scores of {len(unmarked)} unmarked pictures: at most {max(unmarked):.1f}", end="")
    print(f", {watermark.FOUND:g} counts as found")
    signing_key()
    from lambda_eclipse.keep.recipe import write as write_png
    from lambda_eclipse.mark import marking

    image, costs = pictures["pocket 128"][0], []
    for on in (False, True):
        marking.start(on)
        write_png(image, None)
        began = time.perf_counter()
        for _ in range(20):
            write_png(image, None)
        costs.append((time.perf_counter() - began) / 20)
    marks_s = costs[1] - costs[0]
    print(f"all marks of a picture of 128 px: {1000 * marks_s:.0f} ms", end="")
    print(f", {marks_s / painting_s:.0%} of painting it ({1000 * painting_s:.0f} ms)")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
