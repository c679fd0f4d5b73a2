"""A question and its answer: by a named person, by a promised time, and never by the bot."""

from collections.abc import Awaitable, Callable

from tests.cast import Actor, Clinic
from tests.demo.caller import PNG
from tests.stories.test_reach import treated_by_maya
from tests.stories.test_visits import book
from tests.stories.test_watched import nothing_reassures

ASKED = "When will the bumps be gone?"
ANSWER = "Most <b>are</b> gone by Friday & I look at them then."
PASSED = """I am a bot, so I passed your message to Lumen Clinic.
They aim to reply by Wed 11 March, 09:30.
The clinic is open Mon to Fri 09:00 to 18:00. The phone is +49 30 5550 100.
If you feel worse, tap Something is wrong.
In an emergency, call 112."""
LATE = """Lumen: your message to the clinic.
The clinic has not replied yet. I am sorry.
Please call +49 30 5550 100. I have told the lead of the clinic too.
If it gets worse, tap It got worse."""


async def asks(clinic: Clinic, patient: Actor, words: str = ASKED) -> None:
    await clinic.enroll(patient)
    patient.news()
    clinic.nour.news()
    await patient.says(words)


async def test_a_practitioner_answers_under_her_own_name(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await asks(clinic, ana)
    assert ana.news() == [PASSED]
    assert nour.news() == [f"Ana sent a message:\n{ASKED}"]
    assert nour.buttons == ["Answer", "Answered by phone", "Open the card"]
    await nour.taps("Answer")
    assert nour.news() == [
        "Write to Ana now. Your words go out as you type them, under your name, Nour.\n"
        f"Ana wrote:\n{ASKED}"
    ]
    await nour.says(ANSWER)
    assert ana.news() == [f"Lumen: Nour writes to you.\n{ANSWER}"]
    assert nour.news() == ["Your words go to Ana now."]
    # Typed once, sent once: what is typed next is nothing that anybody asked for.
    await nour.says("and sleep well")
    assert ana.news() == []
    assert "I do not understand" in nour.last_message or "understand" in nour.last_message

    nour.news()
    assert ana.buttons == ["Write back", "Something is wrong"]
    await ana.taps("Write back")
    assert ana.last_message.startswith("Write your question here.")
    assert "They aim to reply by Wed 11 March, 09:30." in ana.last_message
    await ana.says("thank you")
    assert nour.news() == ["Ana sent a message:\nthank you"]
    await nour.presses("Today")
    assert "Waiting for an answer\n- Ana, Tue 10 March, 14:30" in nour.last_message
    nothing_reassures(ana.heard)


async def test_whatever_is_sent_is_one_question_until_it_is_answered(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await asks(clinic, ana)
    await clinic.forward(hours=1)
    await ana.does(ana.person.sends_voice)
    assert "They aim to reply by Wed 11 March, 09:30." in ana.last_message
    await ana.does(ana.person.sends_photo, PNG, "this side")
    own = [message for message in ana.person.messages if not message.from_bot]
    await ana.does(ana.person.edits, own[-1], "the left side")
    nour.news()
    await nour.taps("Answer", nour.find("sent a message"))
    assert nour.last_message.endswith(f"Ana wrote:\n{ASKED}\nthis side\nthe left side")
    await nour.taps("Do not write")
    assert nour.last_message == "Nothing was sent to Ana."
    ana.news()
    await nour.says("this goes nowhere")
    assert ana.news() == []
    await nour.presses("Today")
    assert nour.last_message.count("- Ana, Tue 10 March") == 1
    # Under the voice message stands nothing of what came below it.
    await nour.taps("Answered by phone", nour.find("sent a voice message"))
    assert "out of date" in nour.last_message
    await nour.taps("Answered by phone")
    assert nour.toast() == "Done"
    await nour.presses("Today")
    assert "Waiting for an answer" not in nour.last_message


async def test_two_who_answer_one_question_see_each_other(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    maya = await treated_by_maya(clinic)
    await ana.says(ASKED)
    await maya.taps("Answer")
    # The lead saw it on her list of today.
    await nour.presses("Today")
    await nour.taps("Ana")
    await nour.taps("Write to the patient")
    assert nour.last_message.endswith("Maya has begun to write an answer too.")
    ana.news()
    maya.news()
    await maya.says("On your back, please.")
    assert ana.news() == ["Lumen: Maya writes to you.\nOn your back, please."]
    assert nour.find("Maya has answered Ana:\nOn your back, please.\nYou do not have to do")
    await nour.says("Your side is all right.")
    assert ana.news() == []
    assert nour.last_message == (
        "Maya has answered Ana meanwhile, Tue 10 March, 14:30:\nOn your back, please.\n"
        "Your words have not gone out. Do you want to send them too?"
    )
    await nour.taps("Send mine too")
    assert ana.news() == ["Lumen: Nour writes to you.\nYour side is all right."]
    assert maya.find("Nour has answered Ana:\nYour side is all right.")
    # The button was good for those words only.
    held = nour.find("Your words go to Ana now.")
    await nour.taps("Open the card", held)
    await nour.forges("1:writeheld:" + clinic_ref(nour))
    assert ana.news() == []


async def test_a_colleagues_answer_is_seen_also_when_the_patient_has_written_again(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    maya = await treated_by_maya(clinic)
    await ana.says(ASKED)
    question = maya.person.last_message
    await nour.presses("Today")
    await nour.taps("Ana")
    await nour.taps("Write to the patient")
    await clinic.forward(minutes=1)
    await maya.taps("Answer", question)
    await maya.says("On your back, please.")
    await clinic.forward(minutes=1)
    await ana.says("And the other side?")
    ana.news()
    await nour.says("Your side is all right.")
    assert ana.news() == []
    assert nour.last_message.startswith("Maya has answered Ana meanwhile, Tue 10 March, 14:31:")
    held = nour.person.last_message
    # And once more, while hers are kept back.
    await clinic.forward(minutes=1)
    await maya.taps("Answer", maya.find("And the other side?"))
    await maya.says("Not today.")
    await clinic.forward(minutes=1)
    await ana.says("Thanks. And sing?")
    ana.news()
    await nour.taps("Send mine too", held)
    assert ana.news() == []
    assert "Maya has answered Ana meanwhile, Tue 10 March, 14:33:\nNot today." in held.text
    await nour.taps("Send mine too", held)
    assert ana.news() == ["Lumen: Nour writes to you.\nYour side is all right."]
    # Begun long before it, her words answer nothing of the newest question.
    assert "Waiting for an answer\n- Ana, Tue 10 March, 14:34" in await today(nour)


def clinic_ref(nour: Actor) -> str:
    """The reference of the patient whom the newest message is about."""
    data = [
        button["callback_data"]
        for row in nour.person.last_message.inline_keyboard or ()
        for button in row
        if ":write:" in button.get("callback_data", "")
    ]
    return str(data[0]).rsplit(":", 1)[1]


async def test_a_promise_that_passes_is_owned_up_to_once(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    maya = await treated_by_maya(clinic)
    await ana.says(ASKED)
    for person in (nour, ana, maya):
        person.news()
    await clinic.tick("2026-03-11 09:29")
    assert LATE not in ana.heard
    await clinic.tick("2026-03-11 09:31")
    assert ana.news() == [LATE]
    for person in (nour, maya):
        (told,) = person.news()
        assert told == (
            f"Ana still waits for an answer, since Tue 10 March, 14:30.\n{ASKED}\n"
            "The promised time has passed. Ana was told to phone.\nPlease answer now."
        )
    await nour.presses("Today")
    assert "- Ana, Tue 10 March, 14:30, later than promised" in nour.last_message
    nour.news()
    await clinic.tick("2026-03-11 09:59")
    assert LATE not in ana.news()
    assert nour.news() == []
    await maya.taps("Answer")
    await maya.says("Yes.")
    assert ana.last_message == "Lumen: Maya writes to you.\nYes."
    assert nour.last_message.startswith("Maya has answered Ana:\nYes.")


async def test_what_is_asked_after_a_passed_promise_is_promised_anew(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await asks(clinic, ana)
    await clinic.tick("2026-03-13 10:00")
    assert ana.heard.count(LATE) == 1
    ana.news()
    await ana.says("hello?")
    assert "They aim to reply by Fri 13 March, 14:00." in ana.news()[0]
    await clinic.tick("2026-03-13 14:01")
    assert ana.heard.count(LATE) == 2
    await nour.taps("Answered by phone")
    await nour.presses("Today")
    assert "Waiting for an answer" not in nour.last_message


async def test_a_button_answers_the_question_that_it_stands_under(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await asks(clinic, ana)
    first = nour.person.last_message
    await nour.taps("Answer", first)
    await nour.says("By Friday.")
    await clinic.forward(minutes=5)
    # Words begun before she asked again do not answer what came after.
    await nour.taps("Answer", first)
    await clinic.forward(minutes=5)
    await ana.says("And is darker skin a sign?")
    await nour.says("See you on Monday.")
    await nour.taps("Answered by phone", first)
    await nour.presses("Today")
    assert "Waiting for an answer\n- Ana, Tue 10 March, 14:40" in nour.last_message
    # What was begun long ago may be meant for somebody else.
    await nour.taps("Answer", nour.find("sent a message:\nAnd is darker skin"))
    await clinic.forward(minutes=31)
    ana.news()
    await nour.says("Come in at once.")
    assert ana.news() == []
    assert nour.last_message.startswith(
        "This was not sent: you began to write to Ana too long ago."
    )
    # So is what is typed after turning to another patient.
    await clinic.enroll(clinic.ben, "Ben")
    await clinic.ben.reports_danger()
    await nour.taps("Answer", nour.find("sent a message:\nAnd is darker skin"))
    await nour.taps("I am on it", nour.find("URGENT: Ben"))
    ana.news()
    await nour.says("Phoned Ben, pus on the left cheek.")
    assert ana.news() == []


async def test_what_is_added_while_somebody_types_stays_open(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    maya = await treated_by_maya(clinic)
    await ana.says(ASKED)
    first = maya.person.last_message
    await maya.taps("Answer", first)
    await clinic.forward(minutes=1)
    await ana.says("and the lip looks odd")
    added = maya.person.last_message
    ana.news()
    await clinic.forward(minutes=1)
    await maya.says("Yes.")
    assert ana.news() == ["Lumen: Maya writes to you.\nYes."]
    await maya.taps("Answered by phone", first)
    await nour.presses("Today")
    assert "Waiting for an answer\n- Ana, Tue 10 March, 14:30" in nour.last_message
    # Nobody is at it any more.
    await nour.taps("Ana")
    await nour.taps("Write to the patient")
    assert nour.last_message.endswith("and the lip looks odd")
    await clinic.tick("2026-03-11 09:31")
    assert LATE in ana.news()
    await maya.taps("Answer", added)
    await maya.says("Come in at once.")
    await nour.presses("Today")
    assert "Waiting for an answer" not in nour.last_message


async def test_who_turns_to_another_patient_writes_to_nobody(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ben, "Ben")
    await ben.says("is it normal?")
    ref = clinic_ref(nour)
    await asks(clinic, ana)
    question = nour.person.last_message

    async def leaves(act: Callable[..., Awaitable[None]], *arguments: object) -> None:
        await nour.taps("Answer", question)
        await act(*arguments)
        ana.news()
        ben.news()
        await nour.says("Take one more tablet.")
        assert ana.news() == ben.news() == []

    await leaves(nour.says, "/team")
    await leaves(nour.says, "/help")
    # The last ones are refused: turned she has all the same.
    for action in ("plan", "sent", "ppause", "phone", "relink", "relink", "photos"):
        await leaves(nour.forges, f"1:{action}:{ref}")
    await book(clinic, "Ben", "07.04.2026 15:00")
    await leaves(nour.says, "/undo")
    # Help about a new patient does not lose the new patient.
    await nour.presses("New patient")
    await nour.says("/help")
    await nour.says("Mia")
    assert "Mia" in nour.last_message


async def test_a_reply_under_another_patients_message_is_asked_about(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ben, "Ben")
    await ben.says("is it normal?")
    about_ben = nour.person.last_message
    await asks(clinic, ana)
    await nour.taps("Answer")
    ana.news()
    ben.news()
    await nour.person.says("Yes.", reply_to=about_ben)
    await clinic.settle()
    assert ana.news() == ben.news() == []
    assert nour.last_message == (
        "This was not sent. You began to write to Ana, but replied to a message about Ben.\n"
        "To whom do you want to write?"
    )
    assert nour.buttons == ["Ana", "Ben"]
    await nour.taps("Ben")
    await nour.person.says("Yes.", reply_to=about_ben)
    await clinic.settle()
    assert ben.news() == ["Lumen: Nour writes to you.\nYes."]
    assert ana.news() == []


async def test_an_answer_in_time_leaves_nothing_to_own_up_to(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await asks(clinic, ana)
    await nour.taps("Answer")
    await nour.says("Yes.")
    ana.news()
    nour.news()
    await clinic.tick("2026-03-11 09:59")
    assert ana.news() == []
    assert nour.news() == []


async def test_words_reach_the_patient_alone_or_nobody(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await nour.says("/enroll Ben mesotherapy-face")
    await ben.opens(nour.link)
    await ben.says("is this the right place?")
    # Nobody has confirmed yet who this is.
    await nour.taps("Answer")
    assert nour.last_message == (
        "I cannot write to Ben now: the account is not confirmed, or does not get our messages. "
        "Please phone."
    )
    ben.news()
    await nour.says("the results of Ben")
    assert ben.news() == []

    await asks(clinic, ana)
    await nour.taps("Answer")
    await nour.says("x" * 3001)
    assert nour.last_message == (
        "That is too long. Please write 3000 characters at most. Nothing was changed."
    )
    ana.news()
    # What was asked for stays asked for.
    await nour.says("x" * 3000)
    assert ana.news() == [f"Lumen: Nour writes to you.\n{'x' * 3000}"]
    # A menu key is no answer.
    await nour.taps("Answer", nour.find("sent a message"))
    await nour.presses("Today")
    assert ana.news() == []

    # Stopped is not gone: who asks is answered.
    await ana.says("/stop")
    await ana.taps("Stop")
    await ana.says("one more thing")
    await nour.taps("Answer")
    ana.news()
    await nour.says("Of course.")
    assert ana.news() == ["Lumen: Nour writes to you.\nOf course."]
    # After the erasure nobody is told of a promise any more.
    await ana.says("and another")
    await ana.says("/erase")
    await ana.taps("Erase my data")
    await ana.taps("Erase for ever")
    ana.news()
    nour.news()
    await clinic.tick("2026-03-11 10:30")
    assert ana.news() == []
    assert not any("Ana still waits" in said for said in nour.news())


async def test_an_alert_that_somebody_has_taken_can_be_written_to(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await ana.reports_danger()
    await nour.taps("I am on it")
    assert nour.buttons[:2] == ["Write to the patient", "Close: how did it end"]
    await nour.taps("Write to the patient")
    ana.news()
    await nour.says("I am calling you in a minute.")
    assert ana.news() == ["Lumen: Nour writes to you.\nI am calling you in a minute."]


async def test_words_that_may_not_have_arrived_come_once_more(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await asks(clinic, ana)
    await nour.taps("Answer")
    ana.news()
    clinic.rehearsal.telegram.faults.drop("sendMessage", chat=ana.person.id)
    await nour.says("Cool it.")
    # Whatever she does meanwhile, she has not read them.
    await ana.says("are you there?")
    assert not any("Cool it." in said for said in ana.news())
    await clinic.forward(seconds=65)
    assert ana.news() == [
        "Lumen: this message may reach you twice.\nLumen: Nour writes to you.\nCool it."
    ]


async def test_an_answer_that_is_lost_opens_the_question_again(clinic: Clinic) -> None:
    nour, ana, faults = clinic.nour, clinic.ana, clinic.rehearsal.telegram.faults
    maya = await treated_by_maya(clinic)
    opened = "The question waits for an answer again.\nPlease phone Ana, or write again."
    refused = "This message from Maya did not reach Ana:\n"
    waiting = "Waiting for an answer\n- Ana, Tue 10 March, 14:30"
    await ana.says(ASKED)
    # Nobody knows, twice.
    await maya.taps("Answer")
    faults.drop("sendMessage", times=2, chat=ana.person.id)
    await maya.says("Cool it.")
    await nour.presses("Today")
    assert "Waiting for an answer" not in nour.last_message
    await clinic.forward(seconds=65)
    assert maya.last_message == (
        f"I do not know whether this message from Maya reached Ana:\nCool it.\n{opened}"
    )
    assert maya.buttons == ["Write to the patient", "Answered by phone", "Open the card"]
    await nour.presses("Today")
    assert waiting in nour.last_message
    # Refused for good.
    await maya.taps("Write to the patient")
    assert maya.last_message.endswith(f"Ana wrote:\n{ASKED}")
    faults.error("sendMessage", 400, "BUTTON_DATA_INVALID", chat=ana.person.id)
    await maya.says("Cool it again.")
    assert maya.find(f"{refused}Cool it again.\n{opened}")
    # Not before it was too late.
    await maya.taps("Write to the patient", maya.find(f"{refused}Cool it again."))
    faults.flood("sendMessage", 25 * 3600, chat=ana.person.id)
    await maya.says("Cool it now.")
    assert "Waiting for an answer" not in (await today(nour))
    await clinic.forward(hours=26)
    assert maya.find(f"{refused}Cool it now.\n{opened}")
    assert f"{waiting}, later than promised" in (await today(nour))
    await maya.taps("Answered by phone", maya.find(f"{refused}Cool it now."))
    assert maya.toast() == "Done"
    assert "Waiting for an answer" not in (await today(nour))


async def today(nour: Actor) -> str:
    await nour.presses("Today")
    return nour.last_message


async def test_words_that_answered_nothing_open_nothing(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await asks(clinic, ana)
    await nour.taps("Answer")
    await nour.says("By Friday.")
    await nour.taps("Open the card")
    await nour.taps("Write to the patient")
    clinic.rehearsal.telegram.faults.error(
        "sendMessage", 403, "bot was blocked by the user", chat=ana.person.id
    )
    await nour.says("And sleep well.")
    # It joins the answer that had arrived.
    assert nour.find("This message from Nour did not reach Ana:\nAnd sleep well.\nPlease phone Ana")
    assert nour.find("Telegram does not reach them any more")


async def test_a_thank_you_is_passed_on_and_waits_for_nothing(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await asks(clinic, ana)
    await nour.taps("Answer")
    await nour.says("Cool it a little.")
    ana.news()
    nour.news()
    await ana.says("Thanks a lot!")
    assert ana.news() == [
        "I am a bot, so I passed your message to Lumen Clinic.\n"
        "If you want to ask something, just write it here."
    ]
    assert nour.news() == ["Ana sent a message:\nThanks a lot!"]
    await clinic.forward(hours=30)
    assert not any("not replied yet" in words for words in ana.news())
    await ana.says("All good?")
    assert "They aim to reply by" in "".join(ana.news())
    # More than a thank you is a question, and so is what was asked for.
    await ana.says("thanks, and may I swim there in the lake")
    assert "They aim to reply by" in "".join(ana.news())
    await ana.presses("Ask the clinic")
    await ana.says("ok")
    assert "They aim to reply by" in ana.last_message


async def test_what_came_without_words_is_named_when_a_promise_passes(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await ana.does(ana.person.sends_voice)
    await ana.says("did you hear it")
    await ana.does(ana.person.sends_sticker)
    nour.news()
    await clinic.tick("2026-03-11 11:00")
    (waits,) = [words for words in nour.news() if "still waits for an answer" in words]
    assert "did you hear it\n" in waits
    assert "Sent: a voice message or a video and something that I cannot read." in waits
