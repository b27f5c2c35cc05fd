"""Until when a certificate is valid; made with `openssl req -x509`, for 90 days and for 12000."""

from __future__ import annotations

import calendar
import random

import pytest
from ansible_collections.coinpilot.ops.plugins.module_utils import certificate

SHORT = """
-----BEGIN CERTIFICATE-----
MIIBhjCCASugAwIBAgIUOhusXeb0n6Wd6Y/5Oea5D0pMLG0wCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNc3RhY2suZXhhbXBsZTAeFw0yNjExMjMwODE5NTRaFw0yNzAy
MjEwODE5NTRaMBgxFjAUBgNVBAMMDXN0YWNrLmV4YW1wbGUwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAATi7If+jURFoVkpvvknA0sFz6A/RWsqN+JYGeMd6ylbQ+Ja
/7DZvrN5xkOsWmRfS/1yDKxYNPW3vUuChnHPVib0o1MwUTAdBgNVHQ4EFgQUYiLQ
Ddx9ThBY/P03g6SDU/LVYykwHwYDVR0jBBgwFoAUYiLQDdx9ThBY/P03g6SDU/LV
YykwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAoiaGe93rJvPs
wmh4CciQ6PBM+nnxzMgPLmBjXoyvDfECIQD2qfCjoORQ1TFav0PlLlNARMD40cR5
2K1sR+ns0OYDIw==
-----END CERTIFICATE-----
"""
# From 2050 on a moment is written in another way.
LONG = """
-----BEGIN CERTIFICATE-----
MIIBhjCCAS2gAwIBAgIUVsVxfL+jCpFR7tVl6IYrJ4u9nqEwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNc3RhY2suZXhhbXBsZTAgFw0yNjExMjMwODE5NTRaGA8yMDU5
MTAwMTA4MTk1NFowGDEWMBQGA1UEAwwNc3RhY2suZXhhbXBsZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABKma6nDCqJRQAJ4rPzIx4CwjgrU1K5TXLAR3Oi2TpYZH
l1uqu7Vc56TDfDUGSI460NxlYJ++iTUFX8fMGUyv1/ijUzBRMB0GA1UdDgQWBBSl
Ez22mXg2CFods6EymSHsmZbKBzAfBgNVHSMEGDAWgBSlEz22mXg2CFods6EymSHs
mZbKBzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIHw4iNvR/w7h
T4Fbt3Pmn0/kihJcZ3jUmK8yF9A8NMeTAiAwk2lyAFbWMoWvoMgh6TWWdm/OxQg8
IFYZlTnS+NvedA==
-----END CERTIFICATE-----
"""


@pytest.mark.parametrize(("pem", "moment"), [
    (SHORT, (2027, 2, 21, 8, 19, 54)), (LONG, (2059, 10, 1, 8, 19, 54)),
    # A chain begins with the certificate itself.
    ("a note\n" + SHORT + LONG, (2027, 2, 21, 8, 19, 54)),
])
def test_the_end_of_a_certificate(pem: str, moment: tuple[int, ...]) -> None:
    assert certificate.expires_at(pem) == calendar.timegm(moment)


def test_what_is_none_is_a_value_error() -> None:
    chance = random.Random(5)
    for text in ("", "no certificate", SHORT.replace("MII", "AAA"), SHORT[:200] + "\n-----END CERTIFICATE-----"):
        with pytest.raises(ValueError, match="certificate|cut short|time|padding|base64|ascii"):
            certificate.expires_at(text)
    for _round in range(3000):
        at = chance.randrange(40, 500)
        spoilt = LONG[:at] + chance.choice("ABCxyz019+/=\n") * chance.randrange(1, 9) + LONG[at + chance.randrange(9):]
        try:
            certificate.expires_at(spoilt)
        except ValueError:
            continue
