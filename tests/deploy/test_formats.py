"""The tools that know the formats of deploy/ and of the workflow find nothing to complain of. ``make deploy-check``."""

from __future__ import annotations

import pytest

from tests.support.needs import needs
from tools.deploy_check import CHECKS, checked, found


@pytest.mark.parametrize("files", CHECKS)
def test_who_knows_the_format_complains_of_nothing(files: str) -> None:
    check, programs = CHECKS[files]
    assert checked(check, needs(found(*programs), " or ".join(programs))) == ""
