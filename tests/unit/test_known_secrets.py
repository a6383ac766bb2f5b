"""Secrets that are known by value."""

from __future__ import annotations

import base64

import pytest

from kit.known_secrets import KnownSecrets

SECRET = "hunter2-correct-horse"


def test_a_value_is_masked_wherever_it_stands() -> None:
    known = KnownSecrets([SECRET])
    assert known.mask(f"connects with {SECRET}, and again: <{SECRET}>") == "connects with ***, and again: <***>"


@pytest.mark.parametrize(
    ("config", "marked"),
    [
        ({"db": {"password": SECRET}}, ()),
        ({"db": {"auth": SECRET}}, ("db.auth",)),
        ({"hosts": [{"entry": SECRET}]}, ("hosts.0.entry",)),
        ({"credentials": {"user": "me@example.org", "what": [SECRET]}}, ()),
        ({"url": f"postgresql://me:{SECRET}@host/db"}, ()),
    ],
)
def test_of_a_config(config: dict[str, object], marked: tuple[str, ...]) -> None:
    assert KnownSecrets.of(config, marked=marked).mask(f"it is {SECRET}") == "it is ***"


@pytest.mark.parametrize("variable", [{"DB_PASSWORD": SECRET}, {"DATABASE_URL": f"mysql://me:{SECRET}@host/db"}])
def test_of_the_environment(variable: dict[str, str]) -> None:
    assert KnownSecrets.of({}, environment=variable).mask(f"it is {SECRET}") == "it is ***"


@pytest.mark.parametrize("line", ["API_TOKEN={}", "export API_TOKEN='{}'", 'API_TOKEN = "{}"', "API_TOKEN={} # mine"])
def test_of_an_env_file(line: str) -> None:
    text = f"# a comment\nNAME=visible\n{line.format(SECRET)}\n"
    known = KnownSecrets.of({}, files=[text])
    assert known.mask(f"{SECRET} visible") == "*** visible"


def test_where_the_shell_stands_is_no_password() -> None:
    known = KnownSecrets.of({}, environment={"PWD": "/home/me/project", "OLDPWD": "/home/me"})
    assert known.mask("/home/me/project/train.py") == "/home/me/project/train.py"


@pytest.mark.parametrize("harmless", ["none", "true", "", "  ", "***", "${oc.env:TOKEN}"])
def test_what_stands_for_no_secret_is_none(harmless: str) -> None:
    assert not KnownSecrets([harmless])


def test_it_is_masked_as_urls_json_and_python_spell_it_too() -> None:
    known = KnownSecrets(['p@ss "w"/ord\n1'])
    for spelled in ("p%40ss%20%22w%22/ord%0A1", "p%40ss+%22w%22%2Ford%0A1", r"p@ss \"w\"/ord\n1"):
        assert known.mask(f"x {spelled} y") == "x *** y"


def test_a_short_one_is_masked_as_a_word_and_a_very_short_one_alone() -> None:
    known = KnownSecrets(["test", "ab"])
    assert known.mask("test_set of a test: ab, fab") == "test_set of a ***: ab, fab"
    assert known.mask("ab") == "***"


def test_a_longer_secret_that_begins_with_another_goes_whole() -> None:
    assert KnownSecrets(["hunter22", "hunter22-long"]).mask("hunter22-long") == "***"


def test_what_its_form_tells_is_masked_without_being_known() -> None:
    assert KnownSecrets().mask("see password=abc, ghp_abcdefghijklmnopqrstuvwxyz012345") == "see password=***, ***"


@pytest.mark.parametrize("before", range(20, 45))
def test_a_cut_shows_no_part_of_a_secret(before: int) -> None:
    known = KnownSecrets([SECRET])
    shown = known.cut("." * before + SECRET + "." * 10_000, 40)
    assert len(shown) <= 40
    assert "hunter" not in shown
    assert "." * min(before, 37) in shown


def test_a_cut_shows_no_part_of_a_token_that_is_known_by_its_form() -> None:
    token = "ghp_" + "a1B2" * 9
    shown = KnownSecrets().cut("." * 30 + " " + token + " " + "." * 10_000, 50)
    assert "ghp_" not in shown


def test_many_masked_before_a_cut_do_not_draw_a_half_one_in() -> None:
    text = f"{SECRET} " * 1000
    for limit in range(100, 200):
        assert "h" not in KnownSecrets([SECRET]).cut(text, limit).replace("***", "")


def test_code_keeps_its_names() -> None:
    known = KnownSecrets([SECRET])
    code = f'login(user, password=secret)\napi_key = "abc-def"\npassword = config["password"]  # {SECRET}\npwd = 12345'
    assert known.mask_code(code) == (
        'login(user, password=secret)\napi_key = "***"\npassword = config["password"]  # ***\npwd = ***'
    )


def test_more_can_be_added() -> None:
    assert KnownSecrets(["first-one"]).adding(["second-one"]).mask("first-one second-one") == "*** ***"


@pytest.mark.parametrize("user", ["", "m", "me", "you", "root"])
def test_it_is_masked_inside_of_base64(user: str) -> None:
    encoded = base64.b64encode(f"{user}:{SECRET}, and more".encode()).decode()
    masked = KnownSecrets([SECRET]).mask(f"Basic {encoded}")
    assert masked.count("***") == 1
    assert len(masked) < 40
