"""Gamma's distribution and the tests' limits, against scipy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from deploykit.measuring.processes import Process, dispersion_limits, gamma_cdf, ks_distance, ks_limit


@given(st.floats(0.003, 500), st.floats(0, 2000))
def test_gamma_is_scipys(shape: float, x: float) -> None:
    assert gamma_cdf(shape, x) == pytest.approx(float(special.gammainc(shape, x)), abs=1e-9)


@given(st.lists(st.floats(0.001, 10), min_size=2, max_size=60), st.floats(0.2, 3))
def test_the_distance_is_scipys(gaps: list[float], cv: float) -> None:
    process = Process("gamma", 2.0, cv)
    same = stats.kstest(gaps, stats.gamma(1 / cv**2, scale=cv**2 / 2).cdf).statistic
    assert ks_distance(gaps, process) == pytest.approx(same, abs=1e-9)


@pytest.mark.parametrize("n", [50, 200, 5000])
def test_the_distances_limit_is_the_exact_one_nearly(n: int) -> None:
    assert ks_limit(n) == pytest.approx(stats.kstwo.ppf(0.999, n), rel=0.01)


@pytest.mark.parametrize("windows", [10, 30, 200])
def test_the_dispersions_limits_are_chi_squareds(windows: int) -> None:
    low, high = dispersion_limits(windows, 2.0)
    assert low == pytest.approx(2 * stats.chi2.ppf(0.0005, windows - 1) / (windows - 1), rel=0.12)
    assert high == pytest.approx(2 * stats.chi2.ppf(0.9995, windows - 1) / (windows - 1), rel=0.02)


def test_an_exponential_gap_worked_by_hand() -> None:
    assert Process("poisson", 2.0, 1.0).cdf(0.5) == pytest.approx(1 - 2.718281828459045**-1)
    assert Process("poisson", 2.0, 1.0).cdf(0) == 0
