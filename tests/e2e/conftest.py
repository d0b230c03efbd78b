"""What the tests of the whole loop share."""

import pytest

from tests.e2e.tutorial import ByHand, done_by_hand


@pytest.fixture(scope="session")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    """The tutorial, done in an empty folder; nobody changes what it left there."""
    return done_by_hand(tmp_path_factory.mktemp("by_hand"))
