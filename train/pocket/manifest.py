"""Writes the checksums of the pocket weights: `python -m train.pocket.manifest`."""

from lambda_eclipse.manifest import write_manifest
from lambda_eclipse.stacks import ASSETS

if __name__ == "__main__":
    print(write_manifest(ASSETS / "pocket"))
