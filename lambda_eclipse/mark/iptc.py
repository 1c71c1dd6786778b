"""IPTC's digital source type, as an XMP packet: the mark that picture agencies and sites read."""

from __future__ import annotations

import re

from PIL import Image

XMP_KEYWORD = "XML:com.adobe.xmp"  # of a PNG's iTXt chunk
SCHEME = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCE_TYPE = f"{SCHEME}trainedAlgorithmicMedia"
# Of pictures that a model made, wholly or in part.
GENERATED = {
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "algorithmicMedia",
}
XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def source_type(image: Image.Image) -> str | None:
    """The last part of the source type in a picture's XMP, or None.

    Found as text, in any of the ways that XMP may write it: no parser meets a stranger's XML.
    """
    packet = image.info.get("xmp") or image.info.get(XMP_KEYWORD) or b""
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)
    found = re.search(rf"DigitalSourceType\b.{{0,200}}?{re.escape(SCHEME)}(\w+)", text, re.DOTALL)
    return found[1] if found else None
