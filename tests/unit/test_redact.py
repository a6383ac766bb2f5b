"""What is masked, and what must survive."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.redact import MASK, holds_secret, is_secret, is_secret_name, looks_secret, mask, mask_config, may_name_secret

TOKEN = "a1B2" * 9

SECRET_NAMES = """
    password PASSWORD passwd db.password dbPassword DB_PASSWORD db-password passphrase pwd db_pass
    secret client_secret secrets.db.user credentials AWS_SECRET_ACCESS_KEY aws_session_token
    token hf_token HF_TOKEN HUGGING_FACE_HUB_TOKEN MLFLOW_TRACKING_TOKEN accessToken access_tokens
    api_key apiKey APIKey apikey OPENAI_API_KEY X-Api-Key private_key AccountKey secret_key auth_token
    AZURE_STORAGE_CONNECTION_STRING slack_webhook_url --password KAGGLE_KEY sas Authorization
"""

HARMLESS_NAMES = """
    key n_keys num_keys primary_key sort_key key_padding_mask keyboard monkey
    tokenizer max_tokens max_new_tokens num_tokens pad_token eos_token bos_token unk_token mask_token cls_token
    pad_token_id token_type_ids token_dropout special_tokens tokens image_token model.cls_token
    password_length password_file secret_name api_key_path token_limit token_type secretary compass bypass
    author auth_url passenger passes model_signature path lr seed class_weight credentials_path
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)
    assert mask_config({name: "hunter2"}) == {name: MASK}
    assert "hunter2" not in mask(f"x {name}=hunter2 y")
    assert "hunter2" not in mask(f'{{"{name}": "hunter2"}}')
    assert "hunter2" not in mask(f"{name}: hunter2")


@given(
    st.lists(st.sampled_from((SECRET_NAMES + HARMLESS_NAMES).split()) | st.text("ktae_-. ", max_size=3), max_size=4),
    st.sampled_from(["", "_", "-", " ", ".", "\n"]),
    st.sampled_from([str, str.lower, str.upper, str.title]),
)
def test_a_text_that_is_said_to_name_no_secret_names_none(
    parts: list[str], between: str, cased: Callable[[str], str]
) -> None:
    name = cased(between.join(parts))
    if is_secret(name, 0):
        assert may_name_secret(name)
        assert may_name_secret(f"x = 5\nprint(config[{name!r}], 'token')")


def test_most_texts_name_no_secret() -> None:
    assert not may_name_secret("print(len(tokenizer.tokens), keys, url, f'{max_tokens}', sorted_keys, api.monkey)")


@pytest.mark.parametrize("name", HARMLESS_NAMES.split())
def test_harmless_names(name: str) -> None:
    assert not is_secret_name(name)
    assert mask_config({name: "value"}) == {name: "value"}
    for text in (f"{name}=value", f"{name}: value", f"a, {name} = 5", f"--{name} 5", json.dumps({name: "value"})):
        assert mask(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://me:hunter2@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql+psycopg://me:p@ss@host/db and more", "postgresql+psycopg://me:***@host/db and more"),
        ("postgresql://me:pa/ss@host/db", "postgresql://me:***@host/db"),
        ("redis://:hunter2@host", "redis://:***@host"),
        ("a=http://u:p@h/x, b=http://v:q@h/y", "a=http://u:***@h/x, b=http://v:***@h/y"),
        (f"https://{TOKEN}@github.com/a/b", "https://***@github.com/a/b"),
        ("https://h/f?token=abc&size=1", "https://h/f?token=***&size=1"),
        ("https://s3/x?X-Amz-Signature=ab12&x=1", "https://s3/x?X-Amz-Signature=***&x=1"),
        ("https://blob/x?sv=1&sig=a%2Fb%3D&sr=b", "https://blob/x?sv=1&sig=***&sr=b"),
        ("https://hooks.slack.com/services/T0/B0/abcXYZ", "https://hooks.slack.com/services/***"),
        ("AWS AKIAIOSFODNN7EXAMPLE!", "AWS ***!"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: ***"),
        ("curl -H 'Authorization: Bearer abc' u", "curl -H 'Authorization: ***' u"),
        ('{"Authorization": "Bearer abc", "a": 1}', '{"Authorization": "***", "a": 1}'),
        (f"with bearer {TOKEN} sent", "with bearer *** sent"),
        ("password: correct horse battery", "password: ***"),
        ("  - db_password: a b # note\nlr: 1", "  - db_password: ***\nlr: 1"),
        ("export DB_PASSWORD=a;b,c)d\nLR=1", "export DB_PASSWORD=***\nLR=1"),
        ("Config(password='it\\'s', lr=1)", "Config(password='***', lr=1)"),
        ("{'api_key': b'x', 'n': 2}", "{'api_key': b'***', 'n': 2}"),
        ('{\\"password\\": \\"x\\", \\"n\\": 1}', '{\\"password\\": \\"***\\", \\"n\\": 1}'),
        ("app --password hunter2 --lr 1", "app --password *** --lr 1"),
        ("app --password=hunter2 --lr=1", "app --password=*** --lr=1"),
        ("kit run +db.password=x lr=1", "kit run +db.password=*** lr=1"),
        ("at 12 password=1234", "at 12 password=***"),
        ("ERROR: it said: token=hunter2 | x", "ERROR: it said: token=*** | x"),
        ("set env=DB_PASSWORD=hunter2 now", "set env=DB_PASSWORD=*** now"),
        ("a='password=hunter2' b", "a='password=***' b"),
    ],
)
def test_masked(text: str, masked: str) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked


@pytest.mark.parametrize(
    "token",
    [
        "ghp_" + TOKEN, "github_pat_" + TOKEN, "glpat-" + TOKEN, "hf_" + TOKEN, "sk-" + TOKEN, "sk-ant-api03-" + TOKEN,
        "xoxb-123-" + TOKEN, "AIza" + TOKEN[:35], "npm_" + TOKEN, "pypi-" + TOKEN + TOKEN, "sk_live_" + TOKEN,
        f"eyJ{TOKEN}.eyJ{TOKEN}.{TOKEN}", "dapi" + "0a" * 16,
    ],
)  # fmt: skip
def test_known_tokens_wherever_they_stand(token: str) -> None:
    assert mask(f"login with {token}, then") == "login with ***, then"
    assert mask(f"url/{token}") == "url/***"
    assert token not in str(mask_config({"note": [token, {"deep": token}]}))


@pytest.mark.parametrize("end", ["\n-----END RSA PRIVATE KEY-----\nafter", ""])
def test_private_keys_also_when_cut_off(end: str) -> None:
    text = "before\n-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc=" + end

    assert mask(text) == "before\n***" + ("\nafter" if end else "")


@pytest.mark.parametrize(
    "text",
    [
        "loss: 0.1, tokens: 512, max_tokens: 5",
        "pad_token: <pad>",
        "http://localhost:5000/users/a@b.c",
        "ssh://git@github.com/a/b and git@github.com:a/b",
        "s3://bucket/key=value/part",
        "12:30:00 INFO step 5: key: value",
        "password: ${oc.env:DB_PASSWORD}",
        "with password=null token=5 secret=???",
        "use sk-learn-contrib or task-0123456789012345678901",
        "commit 0123456789abcdef0123456789abcdef01234567",
        "basic authentication, bearer of bad tidings",
        "-----BEGIN CERTIFICATE-----",
        "def tokenize(text: str) -> list[str]:",
        "",
    ],
)
def test_survives(text: str) -> None:
    assert mask(text) == text


def test_config_is_masked_deeply_and_left_alone() -> None:
    config = {
        "lr": 0.1,
        "db": {"url": "mysql://u:p@h/d", "password": "x", "port": 3306},
        "secrets": {"a": 1},
        "list": [{"token": "x"}, "plain", ("k", 1)],
        "token": 5,
        "password": None,
        "client_secret": "${oc.env:X}",
        "use_password": True,
        "api_token": 7,
        7: "x",
        "api_key": ["a"],
    }
    before = repr(config)

    assert mask_config(config) == {  # type: ignore[arg-type]  # OmegaConf allows other keys
        "lr": 0.1,
        "db": {"url": "mysql://u:***@h/d", "password": MASK, "port": 3306},
        "secrets": MASK,
        "list": [{"token": MASK}, "plain", ["k", 1]],
        "token": 5,
        "password": None,
        "client_secret": "${oc.env:X}",
        "use_password": True,
        "api_token": MASK,
        7: "x",
        "api_key": MASK,
    }
    assert repr(config) == before


PIECES = st.sampled_from(
    ["password", "token", "api_key", "key", "=", ": ", ":", "'", '"', " ", "\n", "://", "@", "/", "\\", "abc1", "***",
     "--", "Authorization", "Bearer ", "u:p@h", "{", "}", ",", "-", "${x}", "-----BEGIN PRIVATE KEY-----", "eyJ", "5"]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join) | st.text())
def test_masking_twice_changes_nothing(text: str) -> None:
    assert mask(mask(text)) == mask(text)


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="*${}<>?%[]"), min_size=9))
def test_an_override_never_leaks_its_password(secret: str) -> None:
    if secret[0] not in "'\"|&=":
        assert mask(f"db.password={secret}") == "db.password=***"
    assert mask_config({"password": secret})["password"] == MASK
    assert json.dumps(secret)[1:-1] not in mask(json.dumps({"password": secret, "lr": 1}))


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=9), st.none() | st.integers() | st.text(max_size=9) | st.lists(st.text(max_size=9))
    )
)
def test_any_config_keeps_its_keys(config: dict[str, object]) -> None:
    masked = mask_config(config)

    assert masked.keys() == config.keys()
    assert mask_config(masked) == masked


@pytest.mark.parametrize(
    "junk",
    [
        "a-",
        "sk-",
        "eyJ-",
        "://a:b",
        "password=",
        "-----BEGIN PRIVATE KEY-----",
        "bearer ",
        "\\",
        "x='",
        "A ",
        "SG.a",
        "\t",
    ],
)
def test_hostile_texts_are_masked_in_linear_time(junk: str) -> None:
    """A quadratic pattern takes 10^12 steps here, and the test its time limit."""
    mask(junk * (1_000_000 // len(junk)) + "=x")


SECRET_FILES = """
    .env .env.local sub/.env.production prod.env .envrc server.pem tls.key cert.pfx id_rsa .ssh/id_ed25519
    .aws/credentials credentials.json gcp-credentials.json my-service-account.json service_account.json
    client_secret_123.json .netrc .npmrc .pypirc .pgpass .git-credentials .dvc/config.local kubeconfig .kube/config
    .docker/config.json secrets.yaml secrets.toml .streamlit/secrets.toml SECRETS.YAML terraform.tfstate kaggle.json
    gcp-key.json service-key.json key.json keyfile.json sa.key.json auth.json secrets/db.txt .secrets/x deploy_key
    deploy-key api_key.txt db-password.txt hf_token .hf_token token.txt access_token.json dbPassword.yaml secrets.py
"""
PLAIN_FILES = """
    .env.example .env.template .env.sample example.env id_rsa.pub credentials.py test_credentials.py vault_secrets.py
    secrets.md secrets.example.yaml train.py data.csv environment.yml env.py conf/config.yaml keys.csv tokenizer.json
    keyboard.txt conf/env/local.yaml .envs/readme.txt config.json package.json credentials.json.j2
    notebooks/secrets.ipynb keyboard.json monkey.json primary_key.sql primary_key.json public-key.json answer_key.json
    key.csv keys.json hotkey.json pad_token.txt tokens.txt special_tokens_map.json password_rules.txt passwords.csv
    tokenizer_config.json secrets/__init__.py secrets/readme.md authors.json my_secret_plan.txt token.py key.py
"""


@pytest.mark.parametrize("path", SECRET_FILES.split())
def test_files_that_look_secret(path: str) -> None:
    assert looks_secret(path)
    assert looks_secret(f"deep/er/{path}")


@pytest.mark.parametrize("path", PLAIN_FILES.split())
def test_files_that_do_not(path: str) -> None:
    assert not looks_secret(path)


KEY = "-----BEGIN RSA PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "content",
    [
        KEY + "MIIEowIBAAKCAQEA" * 4,
        KEY + "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n" + "MIIEowIBAAKCAQEA" * 4,
        json.dumps({"private_key": "-----BEGIN PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEA" * 4}),
        f"url = 'https://x/'\ntoken = 'ghp_{TOKEN}'\n",
        f"\x00binary hf_{TOKEN}",
        "aws AKIAIOSFODNN7REALLY1!",
    ],
)
def test_contents_with_keys_and_tokens(content: str) -> None:
    assert holds_secret(content.encode())


@pytest.mark.parametrize(
    "content",
    [
        "",
        "PATTERN = '-----BEGIN RSA PRIVATE KEY-----'\n",
        KEY + "...\n-----END RSA PRIVATE KEY-----\n" + "x" * 80,
        "-----BEGIN CERTIFICATE-----\n" + "MIIEowIBAAKCAQEA" * 4,
        "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\n",
        '<div id="sk-container-id-1" class="sk-top-container">',
        "from sk-learn import hf_hub, npm_run, SG.one",
        "password = os.environ['DB_PASSWORD']",
    ],
)
def test_contents_without(content: str) -> None:
    assert not holds_secret(content.encode())


def test_a_hostile_content_is_searched_in_linear_time() -> None:
    holds_secret(KEY.encode() * 2000)
    holds_secret(b"sk-" * 20000)
