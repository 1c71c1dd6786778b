"""The key that signs Content Credentials: the user's own, or one made on first use.

A key made here is certified by nobody. It proves that a file is unchanged since this installation
signed it, and that two files come from one installation, but not whose installation that is.
"""

from __future__ import annotations

import datetime
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERTIFICATE, KEY = "LAMBDA_ECLIPSE_C2PA_CERTIFICATE", "LAMBDA_ECLIPSE_C2PA_KEY"
FOLDER = "LAMBDA_ECLIPSE_DATA"
FILE = "content-credentials.pem"
NAME = "λ-ECLIPSE Studio, self-signed"
YEARS = 10
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
DAY = datetime.timedelta(days=1)


class MarkError(ValueError):
    """A key, certificate or file that marking or verifying cannot use; told to the operator."""


@dataclass(frozen=True)
class SigningKey:
    """PEM texts of the certificates, the signer's first, and of its key; C2PA's name of it all."""

    certificates: bytes
    key: bytes
    algorithm: str


def data_folder() -> Path:
    """The user's data folder of this program, which need not exist; LAMBDA_ECLIPSE_DATA sets it."""
    if chosen := os.environ.get(FOLDER):
        return Path(chosen)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "lambda-eclipse"


def signing_key() -> SigningKey:
    """The user's own key if the environment names one, else this installation's.

    Raises MarkError for a key without its certificate, and for files that are missing, unreadable
    or do not belong together.
    """
    paths = [os.environ.get(name) for name in (CERTIFICATE, KEY)]
    if not any(paths):
        return _own(data_folder() / FILE)
    if not all(paths):
        raise MarkError(f"Set both {CERTIFICATE} and {KEY}.")
    texts = []
    for path in paths:
        try:
            texts.append(Path(str(path)).expanduser().read_bytes())
        except OSError:
            raise MarkError(f"{path} is not a readable file: check its path.") from None
    certificates, key = texts
    return _checked(certificates, key, str(paths[1]))


def _checked(certificates: bytes, key: bytes, source: str) -> SigningKey:
    try:
        private = serialization.load_pem_private_key(key, None)
        certificate = x509.load_pem_x509_certificates(certificates)[0]
    except (ValueError, TypeError) as error:
        raise MarkError(
            f"{source} and its certificate can't be read ({str(error)[:120]}): use PEM files, the "
            "key without a password."
        ) from None
    if certificate.public_key() != private.public_key():
        raise MarkError(f"{source} is not the key of its certificate.")
    if certificate.not_valid_after_utc < datetime.datetime.now(datetime.UTC):
        raise MarkError(f"The certificate of {source} has expired: renew it.")
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in CURVES:
        return SigningKey(certificates, key, CURVES[private.curve.name])
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return SigningKey(certificates, key, "ed25519")
    if isinstance(private, rsa.RSAPrivateKey):
        return SigningKey(certificates, key, "ps256")
    raise MarkError(
        f"{source} is of a kind that C2PA does not allow: use P-256, P-384, P-521, Ed25519 or RSA."
    )


@cache
def _own(path: Path) -> SigningKey:
    """The key in the file; made anew where there is none, or none that still works."""
    try:
        kept = path.read_bytes()
        start = kept.index(b"-----BEGIN PRIVATE KEY")
        return _checked(kept[:start], kept[start:], str(path))
    except (OSError, ValueError):
        made = _made()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.touch(mode=0o600)
        part.write_bytes(made.certificates + made.key)
        part.replace(path)
    except OSError:
        pass  # without a folder to write to, the key lasts as long as this process
    return made


def _made() -> SigningKey:
    """A new P-256 key with its certificate and that of the root made to issue it, then dropped.

    C2PA wants a signer's certificate to be issued by another.
    """
    root, signer = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = [_certificate(NAME, signer, root), _certificate(f"{NAME}: root", root, root)]
    texts = [one.public_bytes(serialization.Encoding.PEM) for one in chain]
    key = signer.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return SigningKey(b"".join(texts), key, "es256")


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """Certificate as C2PA's profile asks; one issued by its own key is a root's."""
    is_root, began = key is issuer, datetime.datetime.now(datetime.UTC) - DAY
    uses = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    usage = x509.KeyUsage(
        digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **uses
    )
    public, above = key.public_key(), issuer.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(f"{NAME}: root"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(began)
        .not_valid_after(began + 365 * YEARS * DAY)
        .add_extension(x509.BasicConstraints(is_root, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above), critical=False)
    )
    if not is_root:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purposes, critical=False)
    return builder.sign(issuer, hashes.SHA256())


def _named(name: str) -> x509.Name:
    parts = ((NameOID.COMMON_NAME, name), (NameOID.ORGANIZATION_NAME, NAME))
    return x509.Name([x509.NameAttribute(*part) for part in parts])
