"""Reading all marks of a file: Content Credentials, IPTC's source type, the watermark."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from lambda_eclipse.mark import credentials, iptc, watermark
from lambda_eclipse.mark.credentials import Credentials
from lambda_eclipse.mark.keys import MarkError
from lambda_eclipse.mark.watermark import Reading

MAX_PIXELS = 100_000_000


@dataclass(frozen=True)
class Findings:
    """The marks of one file. watermark: None where the file is no picture, such as a film."""

    credentials: Credentials | None
    source_type: str | None
    watermark: Reading | None

    @property
    def generated(self) -> bool:
        """Whether any mark says that a model made it; broken credentials say nothing."""
        signed = self.credentials
        types = {self.source_type, *(signed.source_types if signed and signed.intact else ())}
        return bool(types & iptc.GENERATED) or bool(self.watermark and self.watermark.found)

    @property
    def tampered(self) -> bool:
        """Whether the file was changed after it had been signed."""
        return self.credentials is not None and not self.credentials.intact

    def content(self) -> dict[str, Any]:
        """The findings as JSON values, each mark with a sentence."""
        return {
            "generated": self.generated,
            "credentials": _told_credentials(self.credentials),
            "iptc": self.source_type or "none",
            "watermark": _told_watermark(self.watermark),
        }


def verify(path: Path) -> Findings:
    """Read all marks of a file. Raises MarkError for one that is missing, or neither kind."""
    try:
        data = path.read_bytes()
    except OSError:
        raise MarkError(f"{path} is not a readable file: check its path.") from None
    signed = credentials.read(data)
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError("too large")
            source_type = iptc.source_type(image)
            reading = watermark.find(image)
    except Exception:  # PIL raises nearly anything on broken and hostile files
        if signed is None:
            raise MarkError(
                f"{path} is no picture, or a damaged one: give a picture or a film."
            ) from None
        return Findings(signed, None, None)
    return Findings(signed, source_type, reading)


def _told_credentials(found: Credentials | None) -> str:
    if found is None:
        return "none"
    types = ", ".join(found.source_types) or "no source type"
    who = f'made with "{found.generator}", signed by "{found.signer}"'
    if not found.intact:
        return f"broken ({', '.join(found.problems)}): {types}, {who}"
    trust = "on a list of trust" if found.trusted else "on no list of trust"
    return f"intact: {types}, {who}, {trust}"


def _told_watermark(found: Reading | None) -> str:
    if found is None:
        return "not read: not a picture"
    if not found.found:
        return f"none (score {found.score:.1f}, needs {watermark.FOUND:g})"
    return f"found: {found.bits} of 32 bits, score {found.score:.1f}"
