"""Fixed requests through command line, Python and endpoint, and what came out of them, unmarked.

`python -m tests.golden RECORD.json` paints them and writes SHA-256 sums of every pixel and
embedding. Where RECORD.json exists it compares instead, bit for bit: run it before and after a
change that must not alter pictures, on one machine (processors differ in their last bits).
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
ART = ROOT / "assets" / "subjects"
PROMPT = "a cat wearing a hat on the beach"
SEED = 7


def digest(value: Any) -> str:
    """SHA-256 of a picture's pixels or of an array."""
    array = np.ascontiguousarray(value)
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).hexdigest()


def by_command(folder: Path) -> dict[str, str]:
    """Pictures of `generate` and `grid`."""
    run = [sys.executable, "-m", "lambda_eclipse"]
    cat, hat = ART / "cat-photo.jpg", ART / "hat-1.png"
    generate = [
        "generate",
        "--no-mark",
        "--stack",
        "pocket",
        "--prompt",
        PROMPT,
        "--subject",
        f"cat={cat}",
        "--subject",
        f"hat={hat}",
        "--count",
        "2",
        "--seed",
        str(SEED),
        "--out",
        str(folder),
    ]
    square = [
        "grid",
        "--no-mark",
        "--stack",
        "pocket",
        "--prompt",
        PROMPT,
        "--a",
        f"cat={ART / 'cat-1.png'},{cat}",
        "--b",
        f"hat={hat},{ART / 'hat-2.png'}",
        "--size",
        "3",
        "--mode",
        "slerp",
        "--seed",
        str(SEED),
        "--out",
        str(folder / "square.png"),
    ]
    done = subprocess.run([*run, *generate], cwd=ROOT, check=True, capture_output=True, text=True)
    paths = [Path(json.loads(line)["path"]) for line in done.stdout.splitlines()]
    subprocess.run([*run, *square], cwd=ROOT, check=True, capture_output=True)
    found = {f"generate {i}": digest(Image.open(path)) for i, path in enumerate(paths)}
    return {**found, "grid": digest(Image.open(folder / "square.png"))}


def by_python() -> dict[str, str]:
    """Embeddings and pictures of requests with subjects, strengths, edges, and of a square."""
    from lambda_eclipse import Request, Sampling, Studio, Subject

    studio = Studio.open("pocket", "cpu")
    cat, hat = Subject("cat", ART / "cat-photo.jpg"), Subject("hat", ART / "hat-1.png")
    weak = Subject("dog", ART / "dog-2.png", strength=0.5)
    requests = {
        "words": Request("a fox next to a castle", seed=SEED),
        "two": Request(PROMPT, (cat, hat), seed=SEED, count=2),
        "edges": Request("a cat", (cat,), canny=ART / "castle-1.png", seed=SEED),
        "weak": Request("a dog and a dog", (weak,), seed=SEED, sampling=Sampling(3, 2.0)),
    }
    found = {}
    for name, request in requests.items():
        for i, picture in enumerate(studio.generate(request)):
            found[f"{name} {i}"] = digest(picture.image)
            found[f"{name} {i} embedding"] = digest(picture.embedding.numpy())
    corners = studio.square(
        PROMPT,
        (Subject("cat", ART / "cat-1.png"), cat),
        (hat, Subject("hat", ART / "hat-2.png")),
        SEED,
    )
    found["corners"] = digest(corners.numpy())
    found["at"] = digest(studio.at(corners, 0.3, 0.6, seed=SEED, mode="slerp").image)
    return found


def by_endpoint() -> dict[str, str]:
    """What the page's endpoints give; the page runs over the pocket stack."""
    from gradio_client import Client, handle_file

    from lambda_eclipse import Studio
    from lambda_eclipse.mark import marking
    from lambda_eclipse.ui.engine import Engine
    from lambda_eclipse.ui.page import build, launch

    engine = Engine(lambda progress: Studio.open("pocket", "cpu", progress))
    engine.load()
    marking.start(on=False)
    page = build(engine)
    launch(page, "127.0.0.1", None, share=False, prevent_thread_lock=True, quiet=True)
    client = Client(page.local_url, verbose=False)
    files = {name: handle_file(str(ART / name)) for name in ("cat-photo.jpg", "hat-1.png")}
    cat, hat = files.values()
    pictures, *_ = client.predict(
        prompt=PROMPT,
        noun_1="cat",
        picture_1=cat,
        noun_2="hat",
        picture_2=hat,
        count=2,
        seed=SEED,
        randomize=False,
        api_name="/generate",
    )
    found = {f"generate {i}": digest(_open(one)) for i, one in enumerate(pictures)}
    square = {
        "corners_from": "subjects",
        "prompt": PROMPT,
        "seed": SEED,
        "mode": "slerp",
        "noun_a": "cat",
        "picture_a1": handle_file(str(ART / "cat-1.png")),
        "picture_a2": cat,
        "noun_b": "hat",
        "picture_b1": hat,
        "picture_b2": handle_file(str(ART / "hat-2.png")),
    }
    point, _ = client.predict(**square, x=0.3, y=0.6, api_name="/at")
    found["at"] = digest(_open(point))
    cells, _ = client.predict(**square, size=3, api_name="/grid")
    found |= {f"grid {i}": digest(_open(one)) for i, one in enumerate(cells)}
    seen, *_ = client.predict(cat, api_name="/mask")
    found["mask"] = digest(_open(seen))
    edges = client.predict(cat, 50, 150, api_name="/edges")
    found["edges"] = digest(_open(edges))
    page.close()
    return found


def _open(file: Any) -> Image.Image:
    """A picture as an endpoint gives it: a path, or an entry of a gallery."""
    path = file["image"] if isinstance(file, dict) and "image" in file else file
    path = path.get("path") if isinstance(path, dict) else path
    return Image.open(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", type=Path)
    record = parser.parse_args().record
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "command": by_command(Path(folder)),
            "python": by_python(),
            "endpoint": by_endpoint(),
        }
    if not record.exists():
        record.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"{record}: recorded {sum(map(len, found.values()))} sums")
        return 0
    known = json.loads(record.read_text(encoding="utf-8"))
    differing = [
        f"{way}: {name}"
        for way in known
        for name in known[way]
        if found[way].get(name) != known[way][name]
    ]
    print("\n".join(differing) or "all the same, bit for bit")
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main())
