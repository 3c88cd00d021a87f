"""Made-up contacts: the same every time, spread as promised, no two with one number."""

from collections import Counter
from itertools import islice

import phonenumbers

from notifier.domain.channel import Channel
from notifier.domain.contact import ConsentAct, ContactKind
from notifier.planning.contact_import.values import read_email, read_phone, read_zone
from notifier.planning.synthesize import BRANCHES, CAPACITY, Draft, Synthesizer, synthetic_contacts

N = 9043
PEOPLE = list(synthetic_contacts(N))
CUSTOMERS = PEOPLE[:N]


def test_the_same_id_always_becomes_the_same_person() -> None:
    assert list(islice(synthetic_contacts(N), 50)) == PEOPLE[:50]


def test_employees_follow_the_customers() -> None:
    assert len(PEOPLE) == N + 60
    assert {person.kind for person in PEOPLE[N:]} == {ContactKind.EMPLOYEE}


def test_no_two_share_an_address() -> None:
    assert len({person.phone for person in PEOPLE}) == len(PEOPLE)
    assert len({person.email for person in PEOPLE}) == len(PEOPLE)


def test_every_address_is_reserved_for_fiction_and_passes_the_import() -> None:
    for person in PEOPLE:
        assert person.phone[5:10] == "55501"
        assert read_phone(person.phone, "CN") == person.phone
        assert read_email(person.email) == person.email
        assert person.email.endswith("@example.com")
        assert read_zone(person.zone)


def test_every_area_code_is_one_the_library_knows() -> None:
    for code in {person.phone[:5] for person in synthetic_contacts(CAPACITY)}:
        assert phonenumbers.is_valid_number(phonenumbers.parse(f"{code}5550100")), code


def test_the_shares_are_as_promised() -> None:
    locales = Counter(person.locale for person in CUSTOMERS)
    assert 0.83 < locales["zh-CN"] / N < 0.87
    zones = Counter(person.zone for person in CUSTOMERS)
    assert zones["Asia/Shanghai"] / N > 0.85
    assert {"Asia/Urumqi", "Asia/Hong_Kong", "Europe/London", "America/New_York"} <= set(zones)
    acts = Counter((c.channel, c.topic, c.act) for person in CUSTOMERS for c in person.consents)
    assert 0.60 < acts[Channel.EMAIL, "education", ConsentAct.OPT_IN] / N < 0.64
    assert 0 < acts[Channel.EMAIL, "", ConsentAct.OPT_OUT] / N < 0.04


def test_branch_and_city_belong_together() -> None:
    assert {person.attributes["branch"] for person in CUSTOMERS} == set(BRANCHES)
    assert all(BRANCHES[str(p.attributes["branch"])] == p.attributes["city"] for p in CUSTOMERS)


def test_names_speak_the_language_of_their_locale() -> None:
    assert all(person.name.isascii() is (person.locale == "en") for person in PEOPLE)


def test_beyond_the_reserved_numbers_a_phone_stays_empty() -> None:
    many = list(synthetic_contacts(CAPACITY + 5, employees=3))
    assert sum(not person.phone for person in many) == 5
    assert all(person.phone for person in many[-3:])


def test_ids_without_digits_get_numbers_of_their_own_too() -> None:
    synthesizer = Synthesizer()
    drafts = [Draft(external_id=f"客户-{chr(0x4E00 + n)}") for n in range(500)]
    for draft in drafts:
        synthesizer.fill(draft)
    assert len({draft.phone for draft in drafts}) == 500
    assert all(read_email(draft.email) for draft in drafts)


def test_what_is_given_stays() -> None:
    draft = Draft(
        external_id="A1",
        name="Bob",
        locale="en",
        zone="UTC",
        email="b@example.com",
        phone="+12125550123",
        attributes={"branch": "天山支行"},
    )
    Synthesizer().fill(draft)
    assert (draft.name, draft.zone, draft.email, draft.phone) == ("Bob", "UTC", "b@example.com", "+12125550123")
    assert draft.attributes == {"branch": "天山支行", "city": "Urumqi"}
