"""Who of the team is called at night, and who when nobody else answers: the lead says so."""

from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import words
from bot.services.enrolling import lead_or_practitioner
from bot.services.errors import NotAllowed, StaleButton
from bot.services.team import LEAD
from bot.services.turn import Turn
from bot.storage.queries import people
from bot.storage.tables import Practitioner

# The button carries what is wished: an old one, or two taps, never turn it around.
_SETS = {
    "oncall": ("is_on_call", True),
    "offcall": ("is_on_call", False),
    "backup": ("is_backup", True),
    "nobackup": ("is_backup", False),
}


async def _member(turn: Turn, ref: str) -> Practitioner:
    if lead_or_practitioner(turn).role != LEAD:
        raise NotAllowed
    everybody = await people.practitioners(turn.session, turn.clinic.id or 0)
    found = next((each for each in everybody if each.ref == ref), None)
    if found is None:
        raise StaleButton
    return found


async def show_member(turn: Turn, ref: str) -> None:
    """Show one of the team to the lead: what they are called for, and how to change it."""
    await _show(turn, await _member(turn, ref))


async def change(turn: Turn, ref: str, which: str) -> None:
    """Put somebody on a duty, or take them off it."""
    member = await _member(turn, ref)
    if which not in _SETS:
        raise StaleButton
    setattr(member, *_SETS[which])
    turn.session.add(member)
    await turn.session.flush()
    await _show(turn, member)


async def _show(turn: Turn, member: Practitioner) -> None:
    offered = (
        ("not_on_call", "offcall") if member.is_on_call else ("on_call", "oncall"),
        ("no_backup", "nobackup") if member.is_backup else ("is_backup", "backup"),
    )
    rows = [
        [Button(label=label, data=buttons.pack("duty", member.ref, which))]
        for label, which in offered
    ]
    if member.role != LEAD:
        rows.append([Button(label="remove_member", data=buttons.pack("remove", member.ref))])
    await turn.screen(
        "practitioner/member",
        {
            "name": words.name_of(turn.session, member),
            "role": turn.deps.catalogue.label(turn.clinic.language, "roles", member.role),
            "on_call": member.is_on_call,
            "backup": member.is_backup,
        },
        rows,
    )
