"""Secrets, masked once: names that promise one, texts that hold one, files that are one. Pure functions.

A name such as `db.password` or `HF_TOKEN` promises a secret; `max_tokens`, `tokenizer`, `pad_token` and `n_keys`
do not. Masking twice changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

__all__ = [
    "MASK",
    "holds_secret",
    "is_harmless",
    "is_secret",
    "is_secret_name",
    "looks_secret",
    "mask",
    "mask_code",
    "mask_config",
    "may_name_secret",
]

MASK = "***"

_STRONG = re.compile(
    r"(?:^|_)(?:passwords?|passwd|passphrase|pwd|secrets?|credentials?|authorization|apikeys?|accesskey|secretkey|"
    r"privatekey|authtoken|accesstoken|apitoken|"
    r"(?:api|access|account|auth|client|deploy|encryption|master|private|secret|service|shared|signing|ssh|storage)_keys?|"
    r"(?:access|api|auth|bearer|refresh|session|security)_tokens?|connection_string|webhook_url)(?:_|$)"
)
# What a text has, in small letters, that has a strong name somewhere: quicker to look for than names.
_STRONG_STEMS = ("passw", "passphrase", "pwd", "secret", "credential", "authorization")
_STRONG_PAIRS = re.compile(
    r"(?:api|access|account|auth|client|deploy|encryption|master|private|service|shared|signing|ssh|storage)[^a-z0-9]*key|"
    r"(?:access|api|auth|bearer|refresh|session|security)[^a-z0-9]*token|connection[^a-z0-9]+string|webhook[^a-z0-9]+url"
)
# A secret only as a text: a number so named counts something.
_WEAK_LAST = re.compile(r"(?:^|_)(?:token|pass|sig|sas|amz_signature|kaggle_key)$")
# What tokenizers and language models call tokens.
_MODEL_TOKENS = re.compile(
    r"(?:^|_)(?:pad|padding|eos|bos|eot|eod|unk|mask|cls|sep|special|image|img|audio|video|text|start|end|stop|begin|first|last|"
    r"next|prev|previous|prefix|suffix|middle|max|min|num|n|per|by|class|register|extra|additional|add|use|decoder|encoder|"
    r"control|separator|unknown|blank|language|lang|loss|time|cost|each|every|input|output|new|query|word|sub|boundary)_token$"
)
# Says something about the secret, as in `password_length`, `secret_name` or `token_type`.
_ABOUT = re.compile(
    r"(?<!webhook)_(?:length|len|size|count|num|limit|dim|type|types|kind|name|names|file|path|dir|policy|required|enabled|expiry|ttl|"
    r"timeout|env|ids?|index|version|scope|scopes|regex|pattern|url|uri|field|column|columns|arn|manager)$"
)
_HARMLESS = re.compile(r"(?i)none|null|true|false|\*\*\*|\?\?\?|<[^>]*>|\[?redacted\]?|\$\{[^}]*\}|\$\w+|%\(\w+\)s|")
_NUMBER = re.compile(r"[-+]?\d+(?:[._]\d+)*(?:[eE][-+]?\d+)?")


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a value of that name is likely a secret: a key, a variable, an option; dotted ones by any part."""
    return _is_strong(name) or _is_weak(name)


def mask_config(config: Mapping[str, Any], secrets: Collection[str] = ()) -> dict[str, Any]:
    """A copy of `config` with `***` for what secret names hold, and every other text masked.

    Args:
        config: Plain containers.
        secrets: Dotted keys, an element of a list by its number, that hold a secret whatever their name says.
    """
    return _mask_mapping(config, "", secrets)


def _mask_mapping(config: Mapping[str, Any], prefix: str, secrets: Collection[str]) -> dict[str, Any]:
    return {key: _mask_entry(str(key), value, f"{prefix}{key}", secrets) for key, value in config.items()}


def _mask_entry(name: str, value: object, path: str, secrets: Collection[str]) -> object:
    if is_secret(name, value):
        return MASK
    return _mask_value(value, path, secrets)


def is_secret(name: str, value: object) -> bool:
    """Whether what has this name is a secret: `token: 5` counts something, `password: none` says there is none."""
    if value is None or isinstance(value, bool) or not is_secret_name(name):
        return False
    if isinstance(value, str):
        return not is_harmless(value)
    return _is_strong(name) or not isinstance(value, int | float)


def may_name_secret(text: str) -> bool:
    """Whether a name anywhere in a text may be that of a secret, even if it holds a number; if not, none is."""
    lowered = text.lower()
    return any(stem in lowered for stem in _STRONG_STEMS) or (
        any(word in lowered for word in ("key", "token", "string", "url")) and _STRONG_PAIRS.search(lowered) is not None
    )


def is_harmless(text: str) -> bool:
    """Whether a text stands for a secret, or for none, and is none itself."""
    return _HARMLESS.fullmatch(text) is not None


def _mask_value(value: object, path: str, secrets: Collection[str]) -> object:
    if path in secrets and value is not None and not isinstance(value, bool) and value != "":
        return MASK
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return _mask_mapping(value, f"{path}.", secrets)
    if isinstance(value, list | tuple):
        return [_mask_value(item, f"{path}.{index}", secrets) for index, item in enumerate(value)]
    return value


def _words(name: str) -> str:
    """`dbPassword`, `DB-PASSWORD` and `db password` as `db_password`."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_")


def _is_strong(name: str) -> bool:
    parts = [_words(part) for part in name.split(".")]
    return not _ABOUT.search("_" + parts[-1]) and any(_STRONG.search(part) for part in parts)


def _is_weak(name: str) -> bool:
    last = _words(name.rpartition(".")[2])
    return bool(_WEAK_LAST.search(last)) and not _MODEL_TOKENS.search(last)


# Every pattern below runs in linear time: possessive or bounded repeats, and starts that cannot overlap.

_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?"
    r"(?:-----END (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
_URL_PASSWORD = re.compile(
    # The password may hold `@`; a `/` too, unless what stands before it is a port.
    r"(?<=://)([^\s:/@?#'\"]*+):(?!\*\*\*@)(?:[^\s/'\"<>]{0,256}@|(?!\d+/)[^\s@'\"<>]{1,256}@)"
)
_URL_TOKEN = re.compile(r"(?<=://)(?=[^\s:/@]{0,256}\d)[\w.~%-]{20,256}+@")
_WEBHOOK = re.compile(
    r"(hooks\.slack\.com/(?:services|workflows)/|discord(?:app)?\.com/api/webhooks/)(?!\*\*\*)[\w/-]+"
)
_KNOWN = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"A(?:KIA|SIA)[A-Z0-9]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_[A-Za-z0-9_]{20,}+|glpat-[\w-]{16,}+"
    r"|hf_[A-Za-z0-9]{20,}+|sk-(?=[\w-]{0,100}\d)[\w-]{20,}+|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}+"
    r"|xox[abeoprs]-[\w-]{10,}+|xapp-[\w-]{10,}+|AIza[\w-]{35}|ya29\.[\w-]{20,}+"
    r"|npm_[A-Za-z0-9]{36}|pypi-[\w-]{40,}+|dop_v1_[a-f0-9]{40,}+|dckr_pat_[\w-]{20,}+|SG\.[\w-]{16,99}\.[\w-]{16,99}"
    r"|eyJ[\w-]{8,1024}\.eyJ[\w-]{8,}+\.[\w-]*+|wandb_v1_\w{20,}+|dapi[a-f0-9]{32}"
    r")(?![A-Za-z0-9])"
)
_HEADER = re.compile(
    r"(?i)(\bauthorization\\*['\"]?[ \t]*[:=][ \t]*\\*['\"]?)(?!\*\*\*)"
    r"(?:(?:bearer|basic|digest|token|negotiate)[ \t]+)?[^\s'\",]+"
)
_BEARER = re.compile(r"(?i)\b(bearer[ \t]+)(?=[\w.~+/=-]*\d)[\w.~+/=-]{12,}+")
_LINE = re.compile(
    r"""(?m)^(?P<name>[ \t]*+(?:-[ \t]+|export[ \t]+)?[\w.+~-]++)(?P<between>:[ \t]+|[ \t]*=[ \t]*)"""
    r"""(?P<value>[^\s'"{\[|>&=][^\n]*)$"""
)
_NAME = re.compile(
    r"""(?<![\w.-])(?P<name>-*+[\w.][\w.-]*+)(?P<between>\\*['"]?[ \t]*(?:=>|:=|==|=|:(?![:/]))[ \t]*)"""
)
_VALUE = re.compile(
    r"""[bru]{0,2}"(?:[^"\\\n]|\\.)*+"|[bru]{0,2}'(?:[^'\\\n]|\\.)*+'|\\+["'][^"'\\\n]*+\\+["']"""
    r"""|\$\{[^}\n]*+\}|[^\s,;&'"})\]]++"""
)
_OPTION = re.compile(r"(?<!\S)(?P<name>--?[A-Za-z][\w-]*+)(?P<between>[ \t]+)(?P<value>[^\s-]\S*+)")
_LITERAL = re.compile(r"""[bru]{0,2}\\*["']|[-+]?\d""")
_QUOTED = re.compile(r"""([bru]{0,2}|\\+)(["'])(.*?)(\\*)(["'])""", re.DOTALL)


def mask(text: str) -> str:
    """The text with `***` for every secret that can be told by its form or by the name before it."""
    text = _LINE.sub(
        lambda found: found["name"] + found["between"] + _masked(found["name"], found["value"]), _of_form(text)
    )
    text = _mask_pairs(text)
    return _OPTION.sub(lambda found: found["name"] + found["between"] + _masked(found["name"], found["value"]), text)


def mask_code(text: str) -> str:
    """The same for Python: what a name stands before is a secret if it is written out, not if it is another name."""
    return _mask_pairs(_of_form(text), of=_LITERAL)


def _of_form(text: str) -> str:
    text = _PRIVATE_KEY.sub(MASK, text)
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    text = _URL_TOKEN.sub(f"{MASK}@", text)
    text = _WEBHOOK.sub(rf"\g<1>{MASK}", text)
    text = _KNOWN.sub(MASK, text)
    text = _HEADER.sub(rf"\g<1>{MASK}", text)
    return _BEARER.sub(rf"\g<1>{MASK}", text)


def _mask_pairs(text: str, *, of: re.Pattern[str] | None = None) -> str:
    """`name=***` wherever it stands, also in the value of a name that promises no secret; `of`: of such values only."""
    pieces: list[str] = []
    end = 0
    for found in _NAME.finditer(text):
        value = _VALUE.match(text, found.end()) if found.start() >= end and is_secret_name(found["name"]) else None
        if value is not None and (of is None or of.match(value[0])):
            pieces += [text[end : value.start()], _masked(found["name"], value[0])]
            end = value.end()
    return "".join([*pieces, text[end:]])


def _masked(name: str, value: str) -> str:
    """`***`, quotes kept, if the name promises a secret and the value can be one."""
    name = name.rsplit(maxsplit=1)[-1]
    quoted = _QUOTED.fullmatch(value)
    inner = quoted[3] if quoted else value.strip()
    if not is_secret_name(name) or _HARMLESS.fullmatch(inner) or (_NUMBER.fullmatch(inner) and not _is_strong(name)):
        return value
    return f"{quoted[1]}{quoted[2]}{MASK}{quoted[4]}{quoted[5]}" if quoted else MASK


_SECRET_FILES = (
    ".env", ".env.*", "*.env", ".envrc", "*.pem", "*.key", "*.pfx", "*.p12", "*.ppk", "*.jks", "*.keystore", "*.kdbx",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "credentials*", "*credentials*.json", "*.credentials",
    ".git-credentials", "*service-account*.json", "*service_account*.json", "*serviceaccount*.json",
    "client_secret*.json", "token.json", "kaggle.json", ".netrc", "_netrc", ".npmrc", ".pypirc", ".pgpass", ".my.cnf",
    ".htpasswd", ".dockercfg", ".dockerconfigjson", ".boto", ".s3cfg", ".databrickscfg", ".vault-token", "rclone.conf",
    "auth.json", "config.local", "kubeconfig*", "*.kubeconfig", "secrets", "secret", ".secrets*", "secrets.*",
    "secret.*", "*.secret", "*.secrets", "*.tfstate", "*.ovpn",
)  # fmt: skip
_SECRET_PLACES = (
    "*/.aws/credentials", "*/.docker/config.json", "*/.kube/config", "*/.ssh/id_*", "*/.gnupg/*", "*/secrets/*",
    "*/.secrets/*",
)  # fmt: skip
_SECRET_NAMED = re.compile(r"(?P<stem>.+?)(?:\.(?:txt|json|ya?ml|toml|ini|cfg|conf|asc|b64))?")
"""Files that may be called after the one secret in them: `deploy_key`, `db-password.txt`."""
_KEY_FILE = re.compile(r"(?:^|[._-])key(?:file)?\.json$")
_HARMLESS_KEY = re.compile(
    r"(?:^|[._-])(?:answer|cache|class|color|colour|column|composite|data|dict|feature|foreign|group|hash|index|join|label|"
    r"legend|lookup|map|natural|partition|pub|public|primary|row|sort|surrogate|translation|unique)[._-]key(?:file)?\.json$"
)
_EXAMPLES = re.compile(
    r"(?:^|[._-])(?:example|examples|template|sample|dist|tmpl|tpl|schema)(?:[._-]|$)|\.(?:j2|jinja|pub)$"
)
_SOURCES = (
    ".py", ".pyi", ".ipynb", ".md", ".rst", ".html", ".css", ".js", ".ts", ".sh", ".go", ".rs", ".java", ".c", ".r",
)  # fmt: skip
_SECRET_SOURCES = {"secrets.py", "secret.py"}
"""A module of that name is for values, not code, more often than not."""


def looks_secret(path: str) -> bool:
    """Whether a file of that name likely holds secrets; an example, a template or source code does not."""
    place = "/" + path.lower().strip("/")
    name = place.rpartition("/")[2]
    if _EXAMPLES.search(name) or name.endswith(_SOURCES):
        return name in _SECRET_SOURCES
    return (
        any(fnmatchcase(name, pattern) for pattern in _SECRET_FILES)
        or any(fnmatchcase(place, pattern) for pattern in _SECRET_PLACES)
        or bool(_KEY_FILE.search(name) and not _HARMLESS_KEY.search(name))
        or _is_called_secret(path.rpartition("/")[2])
    )


def _is_called_secret(name: str) -> bool:
    """Whether the name ends in what a secret is called: not one about secrets, such as `password_rules.txt`."""
    named = _SECRET_NAMED.fullmatch(name)
    if named is None or "." in named["stem"].strip("."):
        return False
    words = _words(named["stem"])
    strong = any(found.end() == len(words) for found in _STRONG.finditer(words))
    return strong or (words.endswith("token") and _is_weak(words))


_KEY_BLOCK = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----(?:(?!-----)[\s\S]){0,300}?[A-Za-z0-9+/=]{40}"
)
_SIGNS = (
    "PRIVATE KEY", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "hf_", "sk-", "sk_",
    "rk_", "xox", "xapp-", "AIza", "ya29.", "npm_", "pypi-", "dop_v1_", "dckr_pat_", "SG.", "eyJ", "wandb_v1_", "dapi",
)  # fmt: skip
"""What a text with any of `_KNOWN` or `_KEY_BLOCK` has: quicker to look for."""


def holds_secret(content: bytes) -> bool:
    """Whether a file's content has a private key or a token of a well-known form; AWS's own examples do not count."""
    text = content.decode("latin-1")
    if not any(sign in text for sign in _SIGNS):
        return False
    return bool(_KEY_BLOCK.search(text)) or any("EXAMPLE" not in found[0] for found in _KNOWN.finditer(text))
