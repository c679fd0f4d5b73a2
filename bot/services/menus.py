"""The keyboards that stay at the bottom of a chat: which labels, in which rows."""

from collections.abc import Mapping, Sequence

PATIENT = "patient"
PRACTITIONER = "practitioner"

KEYS: Mapping[str, Sequence[Sequence[str]]] = {
    PATIENT: (
        ("my_plan", "limits_still_on"),
        ("ask_the_clinic_menu", "my_visits"),
        ("something_wrong",),
    ),
    PRACTITIONER: (("new_patient", "today"), ("patients", "team")),
}
