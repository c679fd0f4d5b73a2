"""The keyboards that stay at the bottom of a chat: which labels, in which rows."""

from collections.abc import Mapping, Sequence

PATIENT = "patient"
PRACTITIONER = "practitioner"
# A patient's while the phone number is asked for: help stays where it always is.
PHONE = "phone"
# This key hands over the phone number of the account, after the app has asked for a yes.
SHARES_CONTACT = "share_my_number"

_PATIENT = (
    ("my_plan", "limits_still_on"),
    ("ask_the_clinic_menu", "my_visits"),
    ("something_wrong",),
)
KEYS: Mapping[str, Sequence[Sequence[str]]] = {
    PATIENT: _PATIENT,
    PHONE: ((SHARES_CONTACT,), ("keep_my_number",), *_PATIENT),
    PRACTITIONER: (("new_patient", "today"), ("patients", "team")),
}
