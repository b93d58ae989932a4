"""A local certificate authority and a server certificate for localhost."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

NAMES: Final = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class LocalCertificates:
    """A server certificate, and what clients need to trust it.

    Attributes:
        ca_file: The authority's certificate as PEM. Set `REQUESTS_CA_BUNDLE` and `SSL_CERT_FILE` to its path.
        server: TLS context of a server, with a certificate for the names of this machine.
        issued: The certificate and its key, for a server in another process.
    """

    ca_file: Path
    server: ssl.SSLContext
    issued: trustme.LeafCert

    def write_server(self, folder: Path) -> tuple[Path, Path]:
        """Write the certificate and its key; return their paths."""
        certificate, key = folder / "local-server.pem", folder / "local-server.key"
        self.issued.cert_chain_pems[0].write_to_path(str(certificate))
        self.issued.private_key_pem.write_to_path(str(key))
        return certificate, key


def issue_certificates(folder: Path, names: Sequence[str] = NAMES) -> LocalCertificates:
    """Create an authority and a certificate. The authority's PEM file replaces an older one in `folder`.

    The authority's private key stays in memory, so no other process can sign with it.

    Args:
        folder: Where to write the authority's file.
        names: Host names and addresses of the certificate.
    """
    authority = trustme.CA(organization_name="Local IoT Hub", organization_unit_name="Development only")
    folder.mkdir(parents=True, exist_ok=True)
    ca_file = folder / "local-ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = authority.issue_cert(*names)
    issued.configure_cert(server)
    return LocalCertificates(ca_file, server, issued)
