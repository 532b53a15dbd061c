"""The test's certificate authority. Everybody on the street trusts it; what it issues is in order, or wrong
in exactly one way: that is the `kind`."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# In order: as public authorities issued them, and as they do today, for servers alone.
GOOD = ("valid", "server-only")
# What RFC 6120 §13.7.2 makes no claim of.
BAD = ("expired", "early", "self-signed", "stranger", "wrong-name")

DAY = datetime.timedelta(days=1)


class Authority:
    """Keeps what it issues in `directory`; its own certificate is the file `ca`."""

    def __init__(self, directory, name="Street"):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} authority")])
        self.ca = self.directory / f"{name}.pem"
        builder = self._builder(self.name, self.key.public_key()).issuer_name(self.name)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self._write(self.ca, builder.sign(self.key, hashes.SHA256()))
        # Nobody trusts this one.
        self.stranger = self if name == "Stranger" else Authority(directory, "Stranger")

    def issue(self, domain, *further, kind="valid"):
        """A certificate for `domain` and `further` names, which may begin with `*.`. Returns its file and
        that of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [f"not-{domain}"] if kind == "wrong-name" else [domain, *further]
        days = {"expired": (-20, -10), "early": (10, 20)}.get(kind, (-1, 10))
        uses = [ExtendedKeyUsageOID.SERVER_AUTH]
        if kind != "server-only":
            uses.append(ExtendedKeyUsageOID.CLIENT_AUTH)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        builder = self._builder(subject, key.public_key(), days)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        issuer, by = self.name, self.key
        if kind == "self-signed":
            issuer, by = subject, key
        elif kind == "stranger":
            issuer, by = self.stranger.name, self.stranger.key
        certificate = self.directory / f"{domain}.{kind}.pem"
        self._write(certificate, builder.issuer_name(issuer).sign(by, hashes.SHA256()))
        secret = self.directory / f"{domain}.{kind}.key"
        secret.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        secret.chmod(0o600)
        return certificate, secret

    @staticmethod
    def _builder(subject, key, days=(-1, 10)):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (x509.CertificateBuilder().subject_name(subject).public_key(key)
                .serial_number(x509.random_serial_number())
                .not_valid_before(now + days[0] * DAY).not_valid_after(now + days[1] * DAY))

    @staticmethod
    def _write(path, certificate):
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
