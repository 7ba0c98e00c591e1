"""Tokens that can be told by their shape alone, as those who issue them document it.

All are linear: each begins with fixed letters and goes on with one class of letters.
"""

from __future__ import annotations

import re

__all__ = ["KEYED", "KEYED_BY", "MORE_SHAPED", "MORE_SHAPES"]

MORE_SHAPES = re.compile(
    rb"(?<![A-Za-z0-9_-])(?P<kept>)(?P<secret>"
    # GitLab's tokens; docs.gitlab.com, Token overview.
    rb"gl(?:rt|rtr|dt|ptt|soat|cbt|ffct|imt|agent|ft|oas|wt)-[\w.-]{16,}+"
    # GitHub's stateless tokens hold a JWT.
    rb"|gh[su]_[\w.-]{40,}+|pypi-AgE[\w-]{20,}+|do[opr]_v1_[0-9a-f]{32,}+"
    rb"|sq0(?:atp|csp|idp)-[\w-]{16,}+|shp(?:at|ca|pa|ss)_[A-Za-z0-9]{24,}+"
    rb"|xapp-[\w-]{16,}+|hf_[A-Za-z0-9]{30,}+|sk-(?:ant|proj|svcacct|admin)-[\w-]{20,}+"
    rb"|lin_api_[A-Za-z0-9]{30,}+|SG\.[\w-]{16,32}\.[\w-]{30,}+|rubygems_[0-9a-f]{40,}+)"
)
KEYED = re.compile(
    rb"(?P<kept>(?i:AccountKey|SharedAccessKey|SharedAccessSignature|[?&;]sig)=)"
    rb"(?P<secret>[A-Za-z0-9%+/._&=-]{16,}+)"
)
"""Azure's connection strings and signed addresses."""
MORE_SHAPED = (
    b"glrt", b"gldt-", b"glptt-", b"glsoat-", b"glcbt-", b"glffct-", b"glimt-", b"glagent-",
    b"glft-", b"gloas-", b"glwt-", b"ghs_", b"ghu_", b"pypi-age", b"_v1_", b"sq0", b"shpat_",
    b"shpca_", b"shppa_", b"shpss_", b"xapp-", b"hf_", b"sk-", b"lin_api_", b"sg.", b"rubygems_",
)  # fmt: skip
"""The small letters without which the pattern fits nothing."""
KEYED_BY = (b"accountkey=", b"sharedaccess", b"sig=")
