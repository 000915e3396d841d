"""What a lesson found: a sentence, and tables that are folded."""

import pandas as pd
import pytest

from cinv_lib.course.workbook import results as module


@pytest.fixture
def shown(monkeypatch):
    found = []
    monkeypatch.setattr(module, "display", lambda data, raw: found.append(data))
    return found


def test_a_result_is_a_sentence_in_both_forms(shown):
    module.result("On masks S leads by 5 < 6 points.")
    assert shown[0]["text/plain"] == "On masks S leads by 5 < 6 points."
    assert "<b>On masks S leads by 5 &lt; 6 points.</b>" in shown[0]["text/html"]
    with pytest.raises(ValueError, match=r"'S leads'.*full stop"):
        module.result("S leads")


def test_a_folded_table_shows_its_summary_and_no_row_as_plain_text(shown):
    module.folded(pd.DataFrame({"value": [7.25]}, index=["S"]), "All rows")
    assert shown[0]["text/plain"] == "All rows (folded)"
    assert shown[0]["text/html"].startswith("<details><summary>All rows</summary>")
    module.folded(pd.DataFrame({"half_width": [1.0]}), "All rows")
    assert "half_width" not in shown[1]["text/html"] and "± (95 %)" in shown[1]["text/html"]
    assert "7.25" in shown[0]["text/html"] and shown[0]["text/html"].endswith("</details>")
