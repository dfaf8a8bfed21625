"""The table of models: what it says, and that saying it takes no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from triptych.data.classes import CAMVID, CITYSCAPES
from triptych.errors import UserError
from triptych.segment import models
from triptych.segment.models import create, entry, names, published


def test_the_models_of_the_first_issue_are_there() -> None:
    wanted = {"espnetv2-s0.5", "espnetv2-s1.0", "espnetv2-s1.5", "espnetv2-s2.0", "dabnet", "tiny"}
    assert wanted <= set(names())


def test_listing_models_and_weights_imports_no_torch() -> None:
    code = (
        "import sys; from triptych.segment import models as m; "
        "m.describe(m.records()); m.describe_weights(m.weight_records()); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'espnetv2-2\.0'; did you mean espnetv2-s2\.0"):
        entry("espnetv2-2.0")
    with pytest.raises(UserError, match="did you mean dabnet"):
        create("DABnet")
    with pytest.raises(UserError, match=r"there are espnetv2-s0\.5, "):
        entry("???")


def test_a_model_without_classes_is_refused() -> None:
    with pytest.raises(UserError, match="at least one class"):
        create("tiny", 0)


def test_published_weights_say_whose_they_are() -> None:
    for name in names():
        known = entry(name)
        assert known.classes in (CAMVID, CITYSCAPES)
        assert known.outputs >= len(known.classes)
        if known.weights is not None:
            assert published(name) is known.weights
            assert known.weights.licence
            assert all(0 < claim < 1 for claim in known.weights.claimed.values())
            assert known.weights.claimed or name == "street", "others claim a score"
    with pytest.raises(UserError, match="tiny has no published weights"):
        published("tiny")


def test_the_tables_have_a_line_each() -> None:
    table = models.describe(models.records()).splitlines()
    assert [line.split()[0] for line in table[1:]] == list(names())
    assert "66.4%" in next(line for line in table if line.startswith("espnetv2-s2.0"))
    weights = models.describe_weights(models.weight_records())
    assert "https://github.com/sacmehta/EdgeNets" in weights
