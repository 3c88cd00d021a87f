"""What a response may say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.answers import asked_questions, read_answers
from notifier.domain.errors import InputError
from notifier.domain.survey import Question, QuestionType, Survey
from notifier.domain.text import Localized

NO_TEXT = Localized({})

SURVEY = Survey(
    key="monthly-satisfaction",
    title=NO_TEXT,
    intro=NO_TEXT,
    thanks=NO_TEXT,
    questions=(
        Question(key="rating", type=QuestionType.RATING, text=NO_TEXT, required=True),
        Question(key="improve", type=QuestionType.CHOICE, text=NO_TEXT, choices={"app": NO_TEXT, "branch": NO_TEXT}),
        Question(key="comment", type=QuestionType.TEXT, text=NO_TEXT, max_length=20),
        Question(key="trust", type=QuestionType.RATING, text=NO_TEXT, required=True, months=(3, 6, 9, 12)),
    ),
)


def read(**given_: object) -> dict[str, int | str]:
    return read_answers(SURVEY, given_, month=1)


def error(**given_: object) -> InputError:
    with pytest.raises(InputError) as caught:
        read(**given_)
    return caught.value


@pytest.mark.parametrize(("month", "keys"), [(1, "rating improve comment"), (3, "rating improve comment trust")])
def test_quarterly_questions_are_asked_in_their_months(month: int, keys: str) -> None:
    assert [question.key for question in asked_questions(SURVEY, month)] == keys.split()


def test_a_form_and_a_webhook_say_the_same() -> None:
    form = {"comment": " 很好\r\n谢谢 ", "improve": "app", "rating": "4"}
    webhook = {"rating": 4, "improve": "app", "comment": "很好\n谢谢"}
    wanted = {"rating": 4, "improve": "app", "comment": "很好\n谢谢"}
    assert read_answers(SURVEY, form, month=1) == read_answers(SURVEY, webhook, month=1) == wanted
    assert list(read_answers(SURVEY, form, month=1)) == ["rating", "improve", "comment"]


@pytest.mark.parametrize("skip", ["", None, "  ", "\r\n", "\x00"])
def test_skipped_questions_are_left_out(skip: str | None) -> None:
    assert read(rating=5, improve=skip, comment=skip) == {"rating": 5}


@pytest.mark.parametrize("skip", ["", None, "  "])
def test_a_required_answer_cannot_be_skipped(skip: str | None) -> None:
    assert error(rating=skip).field == "rating"
    assert error().field == "rating"


def test_a_required_question_is_required_only_when_asked() -> None:
    assert read(rating=5) == {"rating": 5}
    with pytest.raises(InputError, match="trust: an answer is required"):
        read_answers(SURVEY, {"rating": 5}, month=6)
    assert read_answers(SURVEY, {"rating": 5, "trust": "2"}, month=6) == {"rating": 5, "trust": 2}


@pytest.mark.parametrize(("value", "rating"), [(1, 1), (5, 5), ("1", 1), (" 5 ", 5), (4.0, 4), ("４", 4), ("05", 5)])
def test_a_rating_is_a_whole_number(value: object, rating: int) -> None:
    answer = read(rating=value)["rating"]
    assert (answer, type(answer)) == (rating, int)


@pytest.mark.parametrize(
    "value",
    [0, 6, -1, "0", "6", "-1", "+4", "4.0", "4.5", 4.5, "1_0", "four", "9" * 5000, True, [4], {"a": 4}, float("nan")],
)
def test_anything_else_is_no_rating(value: object) -> None:
    assert str(error(rating=value)) == "rating: not a rating. Give a whole number from 1 to 5."


@pytest.mark.parametrize("value", ["App", "app,branch", "other", 1, True, ["app"], {"app": 1}])
def test_a_choice_is_one_of_the_keys(value: object) -> None:
    caught = error(rating=5, improve=value)
    assert caught.field == "improve"
    assert "app, branch" in caught.remedy


def test_a_text_keeps_its_lines_and_loses_control_characters() -> None:
    assert read(rating=5, comment="a\x00b\x1b[31m\tc\rd\x85")["comment"] == "ab[31m\tc\nd"
    assert read(rating=5, comment="ab\u202egnp\u2066.exe\u2069\u202a")["comment"] == "abgnp.exe"
    assert read(rating=5, comment="👩‍🚀 ok\ud800")["comment"] == "👩‍🚀 ok"


def test_a_text_is_refused_rather_than_cut() -> None:
    assert read(rating=5, comment=" " + "字" * 20 + "\n")["comment"] == "字" * 20
    assert str(error(rating=5, comment="字" * 21)) == "comment: too long: 21 characters. Give at most 20 characters."


@pytest.mark.parametrize("value", [5, True, ["a"], {"a": "b"}, b"bytes"])
def test_a_text_is_a_string(value: object) -> None:
    assert error(rating=5, comment=value).field == "comment"


@pytest.mark.parametrize("value", ["x", "", None])
def test_an_unknown_question_is_refused(value: object) -> None:
    assert error(rating=5, raiting=value).field == "raiting"


def test_the_name_of_an_unknown_question_is_shown_short_and_clean() -> None:
    with pytest.raises(InputError) as caught:
        read_answers(SURVEY, {"a\x1b\n" + "b" * 500: 1}, month=1)
    assert caught.value.field == "a\n" + "b" * 38


def test_an_answer_nobody_asked_for_is_refused_not_dropped() -> None:
    assert error(rating=5, trust=4).field == "trust"
    assert read(rating=5, trust="") == {"rating": 5}


def test_an_error_never_repeats_what_was_written() -> None:
    for given_ in ({"rating": "canary"}, {"rating": 5, "improve": "canary"}, {"rating": 5, "comment": "canary" * 9}):
        assert "canary" not in str(error(**given_))


json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2)


@given(
    st.dictionaries(st.sampled_from(["rating", "improve", "comment", "trust", "other"]), json_values),
    st.integers(1, 12),
)
def test_whatever_comes_is_read_or_refused(given_: dict[str, object], month: int) -> None:
    try:
        answers = read_answers(SURVEY, given_, month=month)
    except InputError:
        return
    assert read_answers(SURVEY, answers, month=month) == answers  # what was read is itself valid
    assert all(isinstance(value, int) or value.encode("utf-8") for value in answers.values())
