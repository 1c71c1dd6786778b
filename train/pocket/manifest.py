"""Writes the checksums of the pocket weights: `python -m train.pocket.manifest`."""

from lambda_eclipse.stacks import ASSETS
from lambda_eclipse.weights import write_manifest

if __name__ == "__main__":
    print(write_manifest(ASSETS / "pocket"))
