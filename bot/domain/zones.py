"""Time zones offered to a patient: one for each clock in use, the larger cities first."""

from collections.abc import Sequence
from datetime import datetime, time
from zoneinfo import ZoneInfo

# IANA names; a zone whose clocks agree all year with one named here is left to that one.
OFFERED: Sequence[str] = (
    "Pacific/Honolulu",
    "America/Anchorage",
    "America/Los_Angeles",
    "America/Phoenix",
    "America/Denver",
    "America/Chicago",
    "America/Mexico_City",
    "America/New_York",
    "America/Bogota",
    "America/Toronto",
    "America/Halifax",
    "America/Caracas",
    "America/Santiago",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Nuuk",
    "America/Argentina/Buenos_Aires",
    "Atlantic/Azores",
    "Europe/London",
    "Europe/Lisbon",
    "Africa/Lagos",
    "Africa/Casablanca",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Madrid",
    "Europe/Rome",
    "Africa/Johannesburg",
    "Africa/Cairo",
    "Europe/Athens",
    "Europe/Kyiv",
    "Asia/Jerusalem",
    "Europe/Istanbul",
    "Europe/Moscow",
    "Asia/Riyadh",
    "Africa/Nairobi",
    "Asia/Tehran",
    "Asia/Dubai",
    "Asia/Tbilisi",
    "Asia/Kabul",
    "Asia/Karachi",
    "Asia/Tashkent",
    "Asia/Almaty",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Dhaka",
    "Asia/Yangon",
    "Asia/Bangkok",
    "Asia/Jakarta",
    "Asia/Ho_Chi_Minh",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Manila",
    "Australia/Perth",
    "Asia/Tokyo",
    "Asia/Seoul",
    "Australia/Adelaide",
    "Australia/Darwin",
    "Australia/Brisbane",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Pacific/Fiji",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Apia",
)


def offsets(now: datetime) -> list[int]:
    """Return the offsets from UTC in minutes that are in use now, from west to east."""
    return sorted({_offset_minutes(name, now) for name in OFFERED})


def zones_at(offset_minutes: int, now: datetime) -> list[str]:
    """Return the offered zones whose clocks are now ``offset_minutes`` from UTC."""
    return [name for name in OFFERED if _offset_minutes(name, now) == offset_minutes]


def clock_at(offset_minutes: int, now: datetime) -> time:
    """Return the local time at an offset from UTC in minutes."""
    return _local(now, offset_minutes)


def _offset_minutes(name: str, now: datetime) -> int:
    offset = now.astimezone(ZoneInfo(name)).utcoffset()
    return 0 if offset is None else int(offset.total_seconds() // 60)


def _local(now: datetime, offset_minutes: int) -> time:
    minutes = (now.hour * 60 + now.minute + offset_minutes) % (24 * 60)
    return time(minutes // 60, minutes % 60)
