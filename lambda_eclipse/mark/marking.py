"""The mark that every picture carries when it leaves the program, unless its operator says no.

First the watermark in the pixels, then metadata, then Content Credentials, which sign both. A
visitor of the page cannot switch the mark off.
"""

from __future__ import annotations

from PIL import Image, PngImagePlugin

from lambda_eclipse.mark import watermark
from lambda_eclipse.mark.iptc import XMP, XMP_KEYWORD

PNG, GIF, MP4 = "image/png", "image/gif", "video/mp4"
_on = True


def start(on: bool = True) -> None:
    """Switch the mark on or off for this process; MarkError for a key that cannot sign."""
    global _on
    _on = on
    if on:
        from lambda_eclipse.mark.keys import signing_key

        signing_key()


def watermarked(image: Image.Image) -> Image.Image:
    """The picture with the watermark, or itself where the mark is off."""
    return watermark.add(image) if _on else image


def metadata() -> PngImagePlugin.PngInfo:
    """Text chunks for a PNG: IPTC's mark, or nothing where the mark is off."""
    info = PngImagePlugin.PngInfo()
    if _on:
        info.add_itxt(XMP_KEYWORD, XMP)
    return info


def signed(data: bytes, kind: str) -> bytes:
    """The file with Content Credentials, or itself where the mark is off. kind: its MIME type."""
    if not _on:
        return data
    from lambda_eclipse.mark.credentials import sign

    return sign(data, kind)
