"""The comparison's arithmetic against independent references."""

import numpy as np
import pytest
from scipy import stats

from kira.wilson import wilson
from train_space.statistics import holm, paired_difference


def mean(sums):
    return sums[..., 0] / sums[..., 1]


def columns(values):
    return np.column_stack([values, np.ones_like(values)])


def test_interval_agrees_with_the_t_interval_and_covers_the_value():
    rng = np.random.default_rng(0)
    before = rng.normal(0.3, 0.1, 400)
    after = before + rng.normal(0.05, 0.1, 400)
    found = paired_difference(columns(before), columns(after), mean, 10_000, seed=1)
    reference = stats.ttest_rel(after, before).confidence_interval(0.95)
    assert found["value"] == pytest.approx((after - before).mean())
    assert found["low"] == pytest.approx(reference.low, abs=0.002)
    assert found["high"] == pytest.approx(reference.high, abs=0.002)
    assert found["p"] == pytest.approx(1 / 10_001)


def test_p_agrees_with_scipys_permutation_test():
    rng = np.random.default_rng(3)
    before = rng.normal(0.3, 0.1, 60)
    after = before + rng.normal(0.02, 0.1, 60)
    found = paired_difference(columns(before), columns(after), mean, 10_000, seed=1)
    reference = stats.permutation_test(
        (after, before), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples", vectorized=True,
        n_resamples=10_000, rng=5,
    )
    assert found["p"] == pytest.approx(reference.pvalue, abs=0.02)


def test_false_positives_come_at_their_rate():
    """No difference: of 200 comparisons about 5 % may have p < 0.05; 20 is beyond the 99.9th percentile."""
    rng = np.random.default_rng(7)
    hits = 0
    for seed in range(200):
        before, after = rng.normal(0, 1, (2, 40))
        hits += paired_difference(columns(before), columns(after), mean, 500, seed)["p"] < 0.05
    assert hits <= 20


def test_ratio_metrics_resample_rows_not_tokens():
    before = np.array([[10.0, 5], [30, 20], [8, 2]])
    after = before * [[0.5, 1]]

    def perplexity(s):
        return np.exp(s[..., 0] / s[..., 1])

    found = paired_difference(before, after, perplexity, 1000, seed=0)
    assert found["value"] == pytest.approx(np.exp(24 / 27) - np.exp(48 / 27))
    assert found["low"] <= found["value"] <= found["high"] < 0


def test_holm_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(("hits", "count"), [(0, 300), (1, 7), (50, 100), (300, 300)])
def test_wilson_s_interval_is_scipy_s(hits, count):
    expected = stats.binomtest(hits, count).proportion_ci(0.95, "wilson")
    assert wilson(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-6)
