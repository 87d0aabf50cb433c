"""Certificates for load tests, made by openssl: an authority, and for one name a certificate with each sort of key. It
knows nothing of who shows them."""

import os
import subprocess

import stage

NAME = "load.test"
DAYS = "90"
P256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
# The authority's name, and by its name each certificate's key.
AUTHORITY = "authority"
KEYS = {"ecdsa": P256, "rsa": ["-newkey", "rsa:2048"]}


def made():
    """A folder with `authority.pem`, and for each sort of key a file NAME.pem of certificate and key."""
    folder = os.path.join(stage.workdir(), "certificates")
    if os.path.exists(folder):
        return folder
    os.mkdir(folder)
    authority = os.path.join(folder, AUTHORITY)
    openssl("req", "-x509", *P256, "-nodes", "-days", DAYS, "-subj", "/O=Load test/CN=Load test authority",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", f"{authority}.key", "-out", f"{authority}.pem")
    extensions = os.path.join(folder, "extensions")
    with open(extensions, "w", encoding="ascii") as target:
        target.write(f"subjectAltName=DNS:{NAME}\nbasicConstraints=critical,CA:FALSE\n"
                     "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
                     "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    for name, key in KEYS.items():
        path = os.path.join(folder, name)
        openssl("req", *key, "-nodes", "-subj", f"/CN={NAME}", "-keyout", f"{path}.key", "-out", f"{path}.csr")
        openssl("x509", "-req", "-in", f"{path}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
                "-CAcreateserial", "-days", DAYS, "-sha256", "-extfile", extensions, "-out", f"{path}.crt")
        with open(f"{path}.pem", "w", encoding="ascii") as target:
            for part in ("crt", "key"):
                with open(f"{path}.{part}", encoding="ascii") as source:
                    target.write(source.read())
    return folder


def openssl(*words):
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        stage.fail(f"openssl {words[0]}: {done.stderr}")
