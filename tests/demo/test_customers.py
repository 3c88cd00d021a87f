"""What the simulated customers see of a page, and what they answer."""

from notifier.demo.customers import TRUE_SATISFACTION, Form, fill_form, read_form

PAGE = """
<!doctype html><html lang="en"><body><form method="post" action="?lang=en">
<input type="radio" name="rating" value="1"><input type="radio" name="rating" value="2">
<input type="radio" name="improve" value="app"><input type="radio" name="improve" value="branch">
<textarea name="comment"></textarea><input type="hidden" name="x" value="y"></form></body></html>
"""


def test_a_page_is_read_like_a_customer_reads_it() -> None:
    form = read_form(PAGE)
    assert form == Form(
        action="?lang=en",
        language="en",
        choices={"rating": ["1", "2"], "improve": ["app", "branch"]},
        texts=["comment"],
    )
    assert form.fields == 3


def test_a_page_without_questions_has_no_fields() -> None:
    assert read_form("<html lang=zh-CN><p>谢谢</p></html>").fields == 0


def test_the_share_of_satisfied_customers_is_the_printed_truth() -> None:
    form = Form(language="zh-CN", choices={"rating": ["1", "2", "3", "4", "5"]}, texts=["comment"])
    answers = [fill_form(form, f"c{n}@example.com") for n in range(4000)]
    satisfied = sum(answer["rating"] in {"4", "5"} for answer in answers) / len(answers)
    assert abs(satisfied - TRUE_SATISFACTION) < 0.02
    assert any("comment" in answer for answer in answers)


def test_the_same_customer_answers_the_same() -> None:
    form = Form(language="en", choices={"rating": ["1", "2", "3", "4", "5"], "attend": ["yes", "no"]})
    assert fill_form(form, "c1@example.com") == fill_form(form, "c1@example.com")
