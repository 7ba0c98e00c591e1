"""What looks at files of credentials on the host, so that no value of them leaves it.

Programs of awk, in what mawk, gawk and busybox share.
"""

from __future__ import annotations

__all__ = ["JSON_SHAPE", "KEY_KIND", "NAMES_SET", "UNIT_NAMES"]

JSON_SHAPE = r"""
BEGIN { RS = "\"" }
function mask(v) {
    if (v == "") return ""
    if (v ~ /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^\/@]*:[^\/@]+@/) return "url"
    if ((inside || last == "credsStore") && length(v) < 33 && v ~ /^[a-z0-9][a-z0-9._-]*$/)
        return v
    return "set"
}
FNR == 1 {
    if (begun) printf "\n"
    printf "S\t%s\t", FILENAME
    begun = 1; text = 0; waits = 0; inside = 0; last = ""; s = ""
}
text {
    if (length(s) < 4096) s = s $0
    if (match($0, /\\+$/) && RLENGTH % 2) { if (length(s) < 4096) s = s "\""; next }
    text = 0; waits = 1; next
}
{
    if (waits) {
        if ($0 ~ /^[ \t\r\n]*:/) {
            gsub(/[\t\r\n]/, " ", s)
            printf "\"%s\"", s
            last = s
            if (s == "credHelpers") inside = 1
        } else printf "\"%s\"", mask(s)
        waits = 0
    }
    t = $0
    gsub(/[^][}{:,0-9a-z.+-]/, "", t)
    gsub(/[0-9]+/, "0", t)
    if (t ~ /}/) inside = 0
    printf "%s", t
    s = ""; text = 1
}
END { if (begun) printf "\n" }
"""
"""The structure and the keys of JSON. Of values it tells whether they are empty, "set", or a "url"
with a password in it; but what helpers are called. Records end at quotes: RS is one."""

_HARMLESS = (
    r"(file:\/\/)?\/(etc|run|var|usr|opt|home|root|srv|tmp|mnt|data|dev|proc|snap)\/[A-Za-z0-9_.\/@:-]*"
    r"|~\/[A-Za-z0-9_.\/-]*|[$][A-Z_0-9@][A-Z0-9_]*|[$][{][A-Za-z_][^}]*[}]|[$][(].*|`.*|<[^>]*>"
    r"|%[A-Za-z_]+%|[{].*[}]|ENC\[.*|arn:.*|vault:.*|op:\/\/.*"
    r"|([Tt]rue|[Ff]alse|[Yy]es|[Nn]o|[Oo]n|[Oo]ff|[Nn]ull|[Nn]one|[01])"
)
_KEYWORD = "|".join(
    "".join(f"[{letter.upper()}{letter}]" for letter in word)
    for word in ("pass", "pwd", "secret", "token", "cred", "auth", "key")
)

UNIT_NAMES = (
    r"""
function note(name) {
    where = unit != "" ? unit : FILENAME
    if (!((where, name) in told) && ++many[where] < 100) print "N\t" where "\t" name
    if (many[where] == 100) print "L\t" where
    told[where, name] = 1
}
function tell(name, v) {
    sub(/^-+/, "", name)
    if (v ~ /[A-Za-z]:\/\/[^\/@ :]*:[^\/@ $%]+@/) { note("a URL with a password"); return }
    if (name !~ /^[A-Za-z0-9_.-]+$/ || length(name) > 80) return
    if (name !~ /"""
    + _KEYWORD
    + r"""/ || v == "" || v ~ /^("""
    + _HARMLESS
    + r"""|-.*)$/) return
    note(name)
}
function words(v,    i, n, c, w, q, was, at) {
    n = length(v); w = ""; q = ""; was = ""
    if (n > 20000) { print "L\t" (unit != "" ? unit : FILENAME); n = 20000 }
    for (i = 1; i <= n + 1; i++) {
        c = i > n ? " " : substr(v, i, 1)
        if (i > n) q = ""
        if (c == "\\") { i++; w = w substr(v, i, 1) }
        else if (q != "" ? c == q : c ~ /["\047]/) q = q != "" ? "" : c
        else if (q == "" && c ~ /[ \t]/) {
            if (w == "") continue
            at = index(w, "=")
            if (at > 1) tell(substr(w, 1, at - 1), substr(w, at + 1))
            else if (was ~ /^--?[A-Za-z]/) tell(was, w)
            else if (w ~ /:\/\//) tell("URL", w)
            was = at ? "" : w
            w = ""
        } else w = w c
    }
}
function over() {
    if (line != "") print "L\t" (unit != "" ? unit : last)
    if (last ~ /^\//) print "R\t" last
}
FNR == 1 { over(); last = FILENAME; line = ""; unit = "" }
/^Id=/ { unit = substr($0, 4); next }
line != "" && /^[ \t]*[#;]/ { next }
/^[ \t]*[#;]/ { next }
{
    sub(/\r$/, "")
    line = line $0
    if (line ~ /\\$/ && length(line) < 16384) {
        line = substr(line, 1, length(line) - 1) " "
        next
    }
    text = line
    line = ""
    if (match(text, /^[ \t]*(Default|Manager)?Environment[ \t]*=/)) words(substr(text, RLENGTH + 1))
    else if (match(text, /^[ \t]*(Exec[A-Z][A-Za-z]*|PodmanArgs)[ \t]*=/))
        words(substr(text, RLENGTH + 1))
}
END { over() }
"""
)
"""The names of variables and arguments that units of systemd set, and that may be secrets;
systemd.exec(5), Environment=. What systemctl shows of units has each one's Id before it."""

NAMES_SET = (
    r"""
function tell(name, v) {
    gsub(/["\047]/, "", name)
    sub(/[ \t]+$/, "", name)
    sub(/^.*[:\/\[( \t]/, "", name)
    if (name !~ /^[A-Za-z0-9_.-]+$/ || length(name) > 80) return
    if (name !~ /"""
    + _KEYWORD
    + r"""/) {
        if (v ~ /^\/[A-Za-z0-9_.\/-]+$/ && name ~ /"""
    + r"^(DOCKER_CONFIG|REGISTRY_AUTH_FILE|KUBECONFIG|PIP_CONFIG_FILE|GIT_CONFIG_GLOBAL)$"
    + r"""/) print "P\t" FILENAME "\t" name "\t" v
        return
    }
    sub(/^[ \t"\047]+/, "", v)
    sub(/[ \t"\047,;]+$/, "", v)
    if (v == "" || v ~ /^("""
    + _HARMLESS
    + r""")$/) {
        if (name ~ /^REGISTRY_AUTH_FILE$/ && v ~ /^\/[A-Za-z0-9_.\/-]+$/)
            print "P\t" FILENAME "\t" name "\t" v
        return
    }
    note(name)
}
function note(name) {
    if ((FILENAME, name) in told) return
    told[FILENAME, name] = 1
    if (++many[FILENAME] < 100) print "N\t" FILENAME "\t" name
    else if (many[FILENAME] == 100) print "L\t" FILENAME
}
FNR == 1 {
    if (last != "") print "R\t" last
    last = base = FILENAME
    sub(/^.*\//, "", base)
    shell = base ~ /^[.]?(bash|zsh|zprofile|ksh|csh|profile|env|pam_env)/ || base ~ /[.]env$/ ||
        FILENAME ~ /^\/etc\/(environment|profile|default\/|sysconfig\/)|\/environment[.]d\//
}
/^[ \t]*([#;!]|\/\/[ \t]|<!--.*-->[ \t]*$)/ { next }
{
    sub(/\r$/, "")
    if (length($0) > 16384) { print "L\t" FILENAME; $0 = substr($0, 1, 16384) }
}
/[A-Za-z]:\/\/[^\/@ \t"\047:]*:[^\/@ \t"\047$<{][^\/@ \t"\047]*@/ { note("a URL with a password") }
match($0, /:\/\/[A-Za-z0-9_.~-]+@/) && RLENGTH > 23 { note("a URL with a token") }
match($0, /<[A-Za-z.]+>[^<]+</) {
    line = substr($0, RSTART + 1, RLENGTH - 2)
    at = index(line, ">")
    tell(substr(line, 1, at - 1), substr(line, at + 1))
    next
}
match($0, /key="[^"]*"[ \t]+value="[^"]*"/) {
    split(substr($0, RSTART, RLENGTH), part, "\"")
    tell(part[2], part[4])
    next
}
{
    line = $0
    sub(/^[ \t]*(- )?/, "", line)
    if (line ~ /^setenv[ \t]/) { split(line, part, /[ \t]+/); tell(part[2], part[3]); next }
    if (line ~ /^set -gx[ \t]/) { split(line, part, /[ \t]+/); tell(part[3], part[4]); next }
    sub(/^(export|declare -x|typeset -x|readonly|Environment=)[ \t]*/, "", line)
    eq = index(line, "=")
    first = substr(line, 1, eq - 1)
    if (eq && first !~ /: /) {
        tell(first, substr(line, eq + 1))
        if (shell) {
            n = split(line, part, /[ \t;&|]+/)
            for (i = 2; i <= n && i < 200; i++)
                if ((at = index(part[i], "=")) > 1)
                    tell(substr(part[i], 1, at - 1), substr(part[i], at + 1))
        }
    } else if (!shell && match(line, /^[:"\047]*[A-Za-z0-9_.\/@:-]+["\047]*[ \t]*:[ \t]/))
        tell(substr(line, 1, RLENGTH - 2), substr(line, RLENGTH + 1))
}
END { if (last != "") print "R\t" last }
"""
)
"""The names of settings that may be secrets and hold something, in the forms of shells, INI, TOML,
YAML, properties and XML; and the paths that some variables name."""

KEY_KIND = r"""
function done(kind) { if (!said) print "T\t" last "\t" kind; said = 1 }
function over() { if (open != "") done("open"); if (last != "") print "R\t" last }
FNR == 1 { over(); last = FILENAME; said = 0; open = "" }
said { next }
open != "" {
    if (open == "openssh")
        done($0 ~ /^b3BlbnNzaC1rZXktdjEAAAAABG5vbmU/ ? "open" : "encrypted")
    else done($0 ~ /ENCRYPTED/ ? "encrypted" : "open")
    next
}
/"private_key"[ \t]*:[ \t]*"-----BEGIN/ { done("service-account"); next }
FNR > 60 { next }
/-----BEGIN ENCRYPTED (SIGSTORE|COSIGN) PRIVATE KEY-----/ { done("cosign"); next }
/-----BEGIN PGP PRIVATE KEY BLOCK-----/ { done("pgp"); next }
/-----BEGIN OPENSSH PRIVATE KEY-----/ { open = "openssh"; next }
/-----BEGIN ENCRYPTED PRIVATE KEY-----/ { done("encrypted"); next }
/-----BEGIN [A-Z ]*PRIVATE KEY-----/ { open = "pem"; next }
/^PuTTY-User-Key-File/ { open = "putty"; next }
/^untrusted comment:.*secret key/ { done("minisign"); next }
/shadowed-private-key/ { done("card"); next }
/private-key/ && FILENAME ~ /private-keys-v1/ { done("gnupg"); next }
END { over() }
"""
"""Of what kind a private key is, by its first lines."""
