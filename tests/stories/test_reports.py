"""Whatever a patient sends reaches a person, and is answered at once with a phone number."""

from tests.cast import Actor, Clinic
from tests.demo.caller import PNG

PHONE = "+49 30 5550 100"
REASSURING = ("normal", "fine", "harmless", "nothing to worry", "do not worry", "no need to")
NAME = "<b>An<a & </i>"


def answer(person: Actor) -> str:
    """The one new answer: with a number to call, without a word that calms."""
    (said,) = person.news()
    assert PHONE in said or "112" in said
    assert not any(word in said.lower() for word in REASSURING)
    return said


async def test_everything_a_patient_sends_reaches_a_person(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana, NAME)
    assert f"Are you {NAME}?" in ana.heard[0]
    ana.news()
    nour.news()
    phone = ana.person

    await ana.says("is this <normal> & ok?")
    assert answer(ana).startswith("I am a bot, so I passed your message to Lumen Clinic.")
    assert nour.news() == [f"{NAME} sent a message:\nis this <normal> & ok?"]

    await ana.does(phone.sends_photo, PNG, "look at <this>")
    passed, asked = ana.news()
    assert "I have passed your photo to Lumen Clinic." in passed
    assert "Do you agree?" in asked
    told, copy = nour.news()
    assert told == f"{NAME} sent a photo:\nlook at <this>\nIt follows below."
    assert copy == "look at <this>"
    assert nour.person.last_message.photo == PNG
    assert nour.person.last_message.protected

    await ana.does(phone.sends_voice)
    assert "I cannot listen to voice messages." in answer(ana)
    assert nour.news()[0] == f"{NAME} sent a voice message or a video.\nIt follows below."
    assert nour.person.last_message.voice is not None

    for act, arguments, kind in (
        (phone.sends_sticker, (), "sticker"),
        (phone.sends_document, (b"%PDF-1.4", "letter.pdf", "application/pdf"), "document"),
        (phone.sends_location, (52.52, 13.405), "location"),
        # One's own number is taken; this is no number that anybody could call.
        (phone.sends_contact, (None, "12"), "contact"),
    ):
        await ana.does(act, *arguments)
        assert "I cannot read this kind of message. I have told Lumen Clinic." in answer(ana), kind
        assert "It follows below." in nour.news()[0]
        assert nour.person.last_message.kind == kind

    # An album is three updates; it is announced and answered once, and every picture arrives.
    await ana.does(phone.sends_album, [PNG, PNG, PNG], "left, middle, right")
    assert "I have passed your photo" in answer(ana)
    told, *copies = nour.news()
    assert told == f"{NAME} sent a photo:\nleft, middle, right\nIt follows below."
    assert [message.photo for message in nour.person.received[-3:]] == [PNG] * 3
    assert len(copies) == 3

    await ana.says("it itches")
    ana.news()
    nour.news()
    await ana.does(phone.edits, phone.messages[-2], "it itches a lot")
    assert answer(ana).startswith("I am a bot, so I passed your message")
    (told,) = nour.news()
    assert told.startswith(f"{NAME} sent a changed message:\nit itches a lot\n")
    assert told.endswith("It takes the place of what was sent before.")

    # The longest text that Telegram allows arrives whole.
    long = "<" * 2000 + "x" * 2095 + "!"
    await ana.says(long)
    answer(ana)
    assert nour.person.last_message.text == long
    # Nobody else heard any of it.
    assert clinic.ben.heard == []


async def test_help_is_there_at_any_hour_and_after_everything(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 03:00")
    ana.news()
    nour.news()
    # In quiet hours, by the menu, by a command, by a button, typed.
    await ana.reports_danger()
    assert ana.heard[-3].startswith("A person needs to look at this now. The clinic is closed.")
    report = nour.news()[0]
    assert report.startswith("URGENT: Ana\nMesotherapy, face, day 1.")
    assert "Reported: a hot area that spreads, at Wed 11 March, 03:00." in report
    assert "The bot told the patient to call 116 117 or go to" in report
    # A second tap of the same finger shows the list again and rings once.
    await ana.presses("Something is wrong")
    await ana.presses("Something is wrong")
    ana.news()
    assert nour.news() == []
    await clinic.forward(minutes=1)
    ana.news()
    nour.news()
    await ana.says("/wrong")
    assert answer(ana).startswith("Call 112 now if you cannot breathe")
    nour.news()
    await ana.says("my lip TURNED   WHITE")
    numbers, note = ana.news()
    assert numbers.startswith("Call 112 now if:")
    assert "The clinic is closed now. Instead of its phone, call 116 117 or go to" in numbers
    assert "In the patient's words: my lip TURNED   WHITE" in note
    nour.news()
    for words in ("I cannot, see!", "something is wrong here"):
        await ana.says(words)
        assert answer(ana).startswith("Call 112 now if:"), words
        # Her alert waits for somebody already: the words go with it, and no second one rings.
        (told,) = nour.news()
        assert words.split()[0] in told
    await ana.does(ana.person.sends_photo, PNG, "there is pus")
    assert answer(ana).startswith("Call 112 now if:")
    assert nour.person.last_message.photo == PNG

    # 200 days later nothing is planned any more, and a person is still reached.
    await clinic.tick("2026-09-26 12:00")
    ana.news()
    nour.news()
    await ana.says("/plan")
    assert "No message is planned for you now." in answer(ana)
    await ana.says("a lump came up")
    answer(ana)
    assert "a lump came up" in nour.news()[-1]
    await ana.reports_danger()
    assert "A person needs to look at this now." in "\n".join(ana.news())
    assert nour.news()[0].startswith("URGENT: Ana\nMesotherapy, face, day 200.")


async def test_the_first_who_taps_has_the_report_and_all_sides_know(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    maya = clinic.someone("Maya")
    await nour.presses("Team")
    await nour.taps("Invite a colleague")
    await maya.opens(nour.link)
    assert "Welcome to the aftercare bot" in maya.last_message
    # Maya treats Ana; Nour leads, and hears of what is urgent when Maya does not take it.
    await maya.says("/enroll Ana mesotherapy-face")
    await ana.opens(maya.link)
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    await ana.taps("Yes")
    await maya.taps("Yes, confirm")
    await clinic.enroll(ben, "Ben")
    for person in (nour, maya, ana, ben):
        person.news()

    await ana.reports_danger()
    (alert,) = await clinic.rows("SELECT * FROM v_alert")
    assert (alert["level"], alert["state"], alert["acked_by"]) == ("urgent", "open", None)
    assert maya.news()[0].startswith("URGENT: Ana")
    assert nour.news() == []
    await clinic.forward(minutes=10)
    assert nour.news()[0].startswith("URGENT, nobody has taken it: Ana")
    maya.news()
    ana.news()
    # Both tap at the same moment: one of them has it, and nobody doubts who.
    await nour.person.taps("I am on it")
    await maya.taps("I am on it")
    yours = (
        "You are on it. Ana sees that you have seen the report.\nWhen it is over, say how it ended."
    )
    owner, other = (nour, maya) if nour.last_message == yours else (maya, nour)
    name = owner.person.first_name
    assert owner.news() == [yours]
    assert other.news() == [f"{name} is on it already: Ana."]
    assert ana.news() == [
        f"Lumen: {name} has seen your report.\n"
        f"If it gets worse, tap Something is wrong, or call {PHONE}."
    ]
    await owner.taps("I am on it")
    assert owner.news() == [yours]
    assert ana.news() == []
    (alert,) = await clinic.rows("SELECT * FROM v_alert")
    assert alert["state"] == "acknowledged"
    assert alert["acked_at"] is not None
    # What is not urgent is for the one who treats, and Ben hears nothing of it all.
    await ana.says("which cream may I use?")
    assert "which cream may I use?" in maya.news()[-1]
    assert nour.news() == []
    assert ben.news() == []
