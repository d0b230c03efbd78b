"""What the documentation shows is compared with what its code answers."""

from tests.pages import missing

SHOWN = "in  3  kept 0.25\n…\nat 9f2c51aa: …\n"


def test_numbers_ids_and_other_lines_may_differ() -> None:
    assert missing(SHOWN, "first\nin 14   kept 1\nmore\nat deadbeef01: here\n") == []


def test_words_and_their_order_may_not() -> None:
    assert missing(SHOWN, "in 3 lost 0\nat deadbeef01: here\n") == ["in  3  kept 0.25"]
    assert missing(SHOWN, "at deadbeef01: here\nin 14 kept 1\n") == ["at 9f2c51aa: …"]
    assert missing(SHOWN, "") == ["in  3  kept 0.25", "at 9f2c51aa: …"]
