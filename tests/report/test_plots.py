"""What the plots calculate: efficiencies, fronts, bins, labels."""

import html
import re
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from triggerforge.report.figure import picture, plain
from triggerforge.report.plots.histograms import edges
from triggerforge.report.plots.observables import axis_label
from triggerforge.report.plots.pareto import front
from triggerforge.report.plots.roc import SIGNAL, background_efficiency
from triggerforge.training.metrics import roc


def test_background_efficiency_agrees_with_the_full_roc() -> None:
    rng = np.random.default_rng(5)
    y = np.arange(4000) % 2
    logits = np.stack([rng.normal(size=4000), rng.normal(size=4000) + y], axis=1)
    weight = rng.uniform(0.5, 2.0, 4000)
    score = logits[:, 1] - logits[:, 0]
    found, error = background_efficiency(score, y == 1, weight)
    signal, background = roc(logits, y, weight, 1)
    there = np.isfinite(found) & (SIGNAL < 1)  # at 1 the full curve goes straight up
    expected = np.interp(SIGNAL, signal, background)
    np.testing.assert_allclose(found[there], expected[there], atol=0.004)
    assert there.sum() > 80 and np.all(np.diff(found[there]) >= 0)
    total = weight[y == 0].sum() ** 2 / (weight[y == 0] ** 2).sum()
    binomial = np.sqrt(found * (1 - found) / total)
    np.testing.assert_allclose(error[there], binomial[there], rtol=0.25, atol=1e-6)


def test_the_error_is_binomial_for_equal_weights() -> None:
    score = np.concatenate([np.linspace(0, 1, 1000), np.linspace(0, 1, 1000)])
    signal = np.arange(2000) < 1000
    found, error = background_efficiency(score, signal, np.ones(2000))
    there = np.isfinite(found)
    np.testing.assert_allclose(found[there], SIGNAL[there], atol=0.002)
    np.testing.assert_allclose(error[there], np.sqrt(found * (1 - found) / 1000)[there])


def test_equal_scores_pass_together() -> None:
    found, _ = background_efficiency(
        np.array([1.0] * 20 + [0.0] * 20), np.arange(40) % 2 == 0, np.ones(40)
    )
    assert set(found) == {0.5, 1.0}


def test_too_few_background_events_are_not_drawn() -> None:
    score = np.concatenate([np.ones(50), np.zeros(50)])
    found, error = background_efficiency(score, np.arange(100) < 50, np.ones(100))
    assert np.isnan(found).all() and np.isnan(error).all()


@pytest.mark.parametrize("entries", [None, [], [{}], [{"accuracy": None, "ebops": 3}]])
def test_a_front_without_points_is_empty(entries: Any) -> None:
    assert front(entries).shape == (0, 2)


def test_a_front_is_ordered_by_size() -> None:
    rows = [{"accuracy": 0.8, "ebops": 900.0}, {"accuracy": 0.7, "ebops": 100.0}]
    rows += [{"accuracy": 0.9, "ebops": float("nan")}, {"accuracy": 0.9, "ebops": 0}]
    np.testing.assert_array_equal(front(rows), [[100.0, 0.7], [900.0, 0.8]])


def test_bins_of_integers_hold_whole_numbers() -> None:
    few = edges(np.array([0, 1, 2, 3, 3, 3.0]))
    np.testing.assert_array_equal(few, [-0.5, 0.5, 1.5, 2.5, 3.5])
    many = edges(np.arange(1000.0))
    assert len(set(np.diff(many))) == 1 and np.diff(many)[0] == round(np.diff(many)[0])
    assert many[0] % 1 == 0.5


def test_bins_of_a_constant_have_a_width() -> None:
    assert np.all(np.diff(edges(np.full(5, 0.25))) > 0)
    assert np.all(np.diff(edges(np.full(5, 7.0))) > 0)


def test_few_events_have_few_bins() -> None:
    rng = np.random.default_rng(2)
    assert len(edges(rng.normal(size=100))) == 11
    assert len(edges(rng.normal(size=50_000))) == 41


def test_an_outlier_does_not_set_the_axis() -> None:
    values = np.append(np.random.default_rng(1).normal(size=5000), 1e9)
    assert edges(values)[-1] < 10


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("jet_pt", r"jet $p_\mathrm{T}$ [GeV]"),
        ("jet_mass_mmdt", "jet mass mmdt [GeV]"),
        ("pt", r"$p_\mathrm{T}$ [GeV]"),
        ("jet_phi", r"jet $\varphi$ [rad]"),
        ("jet_eta", r"jet $\eta$"),
        ("n_constituents", "n constituents"),
        ("a$b", r"a\$b"),
    ],
)
def test_axis_labels_have_units(name: str, shown: str) -> None:
    assert axis_label(name) == shown


def test_labels_are_no_mathematics_and_not_too_long() -> None:
    assert plain("$x$") == r"\$x\$"
    assert plain("x" * 40) == "x" * 21 + "…"
    found = picture("p", lambda figure: figure.text(0, 0, plain("$\\frac$")) and None, "<a> & b")
    assert 'aria-label="&lt;a&gt; &amp; b"' in found.svg
    assert "<!--" not in found.svg and "<metadata" not in found.svg


def test_words_in_a_picture_are_text_and_stay_as_they_are() -> None:
    words = '#16191d id="a" d="1.23456" href="#b" url(#c) font: 1px \'x\' <&> [ns]'

    def paint(figure: Figure) -> None:
        figure.add_subplot().set_xlabel(words)

    svg = picture("name", paint, "alt").svg
    (found,) = [t for t in re.findall(r"<text[^>]*>([^<]*)</text>", svg) if "ns" in t]
    assert html.unescape(found) == words
    assert "font-family: inherit" in svg and "TeX Gyre" not in svg
