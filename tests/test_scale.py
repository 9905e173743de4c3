"""The simulation of large runs: whatever dies, every page is read once, or given up after so many attempts."""

import math

from bench.scale import Load, Plant, simulate

PLANT = Plant(readers=4, pages_s=2.0, start_s=10.0, part_s=0.0, split_s=0.0)
SAME = Load(documents=100, mean_pages=8, spread=0.0)


def test_without_faults_the_time_is_that_of_the_pages_and_one_start() -> None:
    outcome = simulate(PLANT, SAME)
    assert (outcome.pages, outcome.parts, outcome.deaths) == (800, 100, 0)
    assert outcome.seconds == 10 + 800 / 2 / 4


def test_readers_that_die_cost_time_and_no_page() -> None:
    outcome = simulate(Plant(4, 2.0, 10.0, 0.0, 0.0, attempts=100, hours_between_deaths=0.01), SAME)
    assert (outcome.pages, outcome.given_up) == (800, 0)
    assert outcome.deaths > 0
    assert outcome.seconds > 110


def test_a_document_that_kills_is_given_up_after_its_attempts() -> None:
    outcome = simulate(PLANT, Load(documents=10, mean_pages=8, spread=0.0, poison=1.0))
    assert (outcome.pages, outcome.given_up, outcome.deaths) == (0, 10, 30)


def test_long_documents_are_divided_and_splitting_can_be_what_is_full() -> None:
    assert simulate(PLANT, Load(documents=1, mean_pages=200, spread=0.0)).parts == 4
    slow = simulate(Plant(4, math.inf, 0.0, 0.0, split_s=1.0), SAME)
    assert slow.seconds == slow.split_s == 100
