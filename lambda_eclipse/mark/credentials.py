"""C2PA Content Credentials: a signed statement inside a file that a trained model made it."""

from __future__ import annotations

import io
import json
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

import c2pa

from lambda_eclipse import __version__
from lambda_eclipse.mark.iptc import SOURCE_TYPE
from lambda_eclipse.mark.keys import MarkError, signing_key

GENERATOR = "λ-ECLIPSE Studio"
UNTRUSTED = "signingCredential.untrusted"
# Nothing is fetched from the net. A thumbnail would be larger than the picture.
SETTINGS: dict[str, Any] = {
    "verify": {
        "verify_after_sign": False,
        "remote_manifest_fetch": False,
        "ocsp_fetch": False,
    },
    "builder": {"thumbnail": {"enabled": False}},
}
_LOCK = threading.Lock()  # a context serves one thread at a time


@dataclass(frozen=True)
class Credentials:
    """What a file's Content Credentials say.

    intact: the file is unchanged since it was signed. trusted: the signer is on a list of trust
    that c2pa-python knows; a key made by its user never is. signer: the certificate's name, as
    the signer wrote it. source_types: last parts of the digital source types of its actions.
    problems: C2PA's codes of failed checks.
    """

    intact: bool
    trusted: bool
    signer: str
    generator: str
    source_types: tuple[str, ...]
    problems: tuple[str, ...]


def sign(data: bytes, kind: str) -> bytes:
    """The file with Content Credentials. kind: its MIME type. MarkError if the key won't do."""
    key = signing_key()
    agent = {"name": GENERATOR, "version": __version__}
    action = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE, "softwareAgent": agent}
    manifest = {
        "claim_generator_info": [agent],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }
    out = io.BytesIO()
    try:
        info = c2pa.C2paSignerInfo(key.algorithm, key.certificates, key.key, None)
        with _LOCK, c2pa.Signer.from_info(info) as signer:
            c2pa.Builder(manifest, context=_context()).sign(signer, kind, io.BytesIO(data), out)
    except c2pa.C2paError as error:
        raise MarkError(
            f"Content Credentials can't be signed with this key ({str(error)[:120]}): its "
            "certificate must follow C2PA's profile."
        ) from error
    return out.getvalue()


def read(data: bytes) -> Credentials | None:
    """The Content Credentials in a file; None where there are none, or in an unknown format."""
    try:
        with _LOCK, c2pa.Reader(None, io.BytesIO(data), None, _context()) as reader:
            content = json.loads(reader.json())
    except c2pa.C2paError:
        return None
    manifest = content.get("manifests", {}).get(content.get("active_manifest"), {})
    actions = [
        action
        for assertion in manifest.get("assertions", ())
        if assertion.get("label", "").startswith("c2pa.actions")
        for action in assertion.get("data", {}).get("actions", ())
    ]
    types = (str(action.get("digitalSourceType", "")).rpartition("/")[2] for action in actions)
    problems = {str(one.get("code")) for one in content.get("validation_status", ())}
    state = content.get("validation_state")
    generators = manifest.get("claim_generator_info") or [{}]
    return Credentials(
        intact=state in ("Valid", "Trusted"),
        trusted=state == "Trusted",
        signer=str(manifest.get("signature_info", {}).get("common_name", "")),
        generator=str(generators[0].get("name", "")),
        source_types=tuple(filter(None, types)),
        problems=tuple(sorted(problems - {UNTRUSTED})),
    )


@cache
def _context() -> Any:
    return c2pa.Context.from_dict(SETTINGS)
