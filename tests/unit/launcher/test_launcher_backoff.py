"""Claims about the waits between replacements."""

from app.launcher.backoff import Backoff


def test_first_replacement_is_immediate() -> None:
    """What dies for the first time is replaced at once."""
    assert Backoff().after(0.1) == 0


def test_waits_double_up_to_a_bound() -> None:
    """What keeps dying is started less and less often, but every ten seconds at least."""
    backoff = Backoff()
    assert [backoff.after(0.1) for _ in range(8)] == [0, 0.5, 1, 2, 4, 8, 10, 10]


def test_steady_life_is_forgiven() -> None:
    """What lived for ten seconds is replaced at once again."""
    backoff = Backoff()
    for _ in range(5):
        backoff.after(0.1)
    assert backoff.after(10) == 0
