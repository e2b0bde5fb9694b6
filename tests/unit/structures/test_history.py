"""Whatever losses a run had are told from what is kept beside them."""

from crqat_pipeline.structures.history import SCALE_RANGE, loss_columns


def test_every_term_of_a_run_is_a_loss_and_nothing_else_is():
    columns = ["step", "loss", "loss_box", "pkd", "kd_class", "one_of_my_own", "learning_rate", *SCALE_RANGE]
    assert loss_columns(columns) == ["loss", "loss_box", "pkd", "kd_class", "one_of_my_own"]
