"""Secrets that can be told by their shape alone, as those who issue them document it.

All is linear: each begins with fixed letters and goes on with one class of letters.
"""

from __future__ import annotations

import re

__all__ = ["SHAPES"]

_TOKENS = re.compile(
    rb"(?<![A-Za-z0-9_-])(?P<kept>)(?P<secret>"
    # GitHub's stateless tokens hold a JWT.
    rb"(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Za-z])|gh[su]_[\w.-]{40,}+|gh[pousr]_[A-Za-z0-9]{20,}+"
    rb"|github_pat_\w{20,}+"
    # docs.gitlab.com, Token overview.
    rb"|gl(?:pat|rtr?|cbt|dt|ptt|ft|imt|soat|ffct|agent|oas|wt)-[\w.-]{16,}+|GR1348941[\w-]{16,}+"
    rb"|xox[abeoprs]-[\w-]{10,}+|eyJ[\w-]{8,}+\.[\w-]{4,}+(?:\.[\w-]*+)*+"
    rb"|(?:sk|rk)_live_\w{16,}+|AIza[\w-]{35}|npm_[A-Za-z0-9]{36}|dckr_(?:pat|oat)_[\w-]{16,}+"
    rb"|hv[sbr]\.[\w-]{20,}+|SWMTKN-1-[0-9a-z-]{20,}+|SWMKEY-1-[\w+/=-]{20,}+"
    rb"|AGE-SECRET-KEY-1[0-9A-Z]{20,}+|pypi-AgE[\w-]{20,}+|do[opr]_v1_[0-9a-f]{32,}+"
    rb"|sq0(?:atp|csp|idp)-[\w-]{16,}+|shp(?:at|ca|pa|ss)_[A-Za-z0-9]{24,}+|xapp-[\w-]{16,}+"
    rb"|hf_[A-Za-z0-9]{30,}+|sk-(?:ant|proj|svcacct|admin)-[\w-]{20,}+"
    rb"|lin_api_[A-Za-z0-9]{30,}+|SG\.[\w-]{16,32}\.[\w-]{30,}+|rubygems_[0-9a-f]{40,}+)"
)
_KEYED = re.compile(
    rb"(?P<kept>(?i:AccountKey|SharedAccessKey|SharedAccessSignature|[?&;]sig)=)"
    rb"(?P<secret>[A-Za-z0-9%+/._&=-]{16,}+)"
)
"""Azure's connection strings and signed addresses."""
_HASHES = re.compile(
    rb"(?P<kept>)(?P<secret>\$(?:1|2[abxy]?|5|6|7|y|gy|sha1|apr1|argon2[a-z]{1,2}|scrypt|pbkdf2[\w-]*)"
    rb"\$[./A-Za-z0-9$=,+-]{8,}+|\{S?SHA(?:256|512)?\}[A-Za-z0-9+/=]{20,}+)"
)

_NAMED_LATER = re.compile(
    rb"(?i)(?P<kept>\bvalue:[ \t]{1,8}[\"']?)(?P<secret>(?!\[redacted:)"
    rb"(?!(?:true|false|/[\w./-]{0,256})[\"']?\s)[^\n\"']{1,1024}+)"
    rb"(?=[\"']?[ \t\r]{0,8}\n(?:/[^\n:]{0,256}:)?[ \t]{1,64}name:[ \t]{1,8}[\"']?[\w.-]{0,64}?"
    rb"(?:pass|pwd|secret|token|cred|auth|key))"
)
"""A variable of a manifest whose name comes after its value."""

SHAPES = (
    ((
        b"akia", b"asia", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_", b"glpat-",
        b"glrt", b"glcbt-", b"gldt-", b"glptt-", b"glft-", b"glimt-", b"glsoat-", b"glffct-",
        b"glagent-", b"gloas-", b"glwt-", b"gr1348941", b"xox", b"eyj", b"_live_", b"aiza",
        b"npm_", b"dckr_", b"hvs.", b"hvb.", b"hvr.", b"swmtkn-", b"swmkey-", b"age-secret-key-",
        b"pypi-age", b"_v1_", b"sq0", b"shpat_", b"shpca_", b"shppa_", b"shpss_", b"xapp-", b"hf_",
        b"sk-", b"lin_api_", b"sg.", b"rubygems_",
    ), _TOKENS),
    ((b"accountkey=", b"sharedaccess", b"sig="), _KEYED),
    ((b"$", b"{s"), _HASHES),
    ((b"value:",), _NAMED_LATER),
)  # fmt: skip
"""Patterns, each after the small letters without which it fits nothing."""
