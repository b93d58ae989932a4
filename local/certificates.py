"""A certificate authority of this machine and a server certificate for localhost."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class LocalCertificates:
    """What a server presents and what its clients need to believe it.

    Attributes:
        ca_file: The authority's certificate as PEM. `REQUESTS_CA_BUNDLE` and `SSL_CERT_FILE` take its path.
        server: Presents a certificate for `localhost` and `127.0.0.1`.
    """

    ca_file: Path
    server: ssl.SSLContext


def issue_certificates(folder: Path) -> LocalCertificates:
    """Makes an authority and a certificate; the authority's PEM file replaces an older one in `folder`.

    The private keys stay in memory: no other process can sign for this authority.
    """
    authority = trustme.CA(organization_name="Local IoT Hub", organization_unit_name="Development only")
    folder.mkdir(parents=True, exist_ok=True)
    ca_file = folder / "local-ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    return LocalCertificates(ca_file, server)
