"""The rules of wording (clinical.md 5), as far as a machine can check them in English."""

import re

LONGEST_SENTENCE = 20
SENTENCES_A_PARAGRAPH = 3
HIGHEST_GRADE = 6.0
LOCK_SCREEN = 40
SAME_DAY = "{# same-day #}"
"""Opens a text that may say "today", because it is not sent on any later day."""

# One row for each rule of wording: what is looked for in the visible text, and what to do instead.
FORBIDDEN: tuple[tuple[str, str], ...] = (
    (r"\w+n['\u2019]t\b", 'write "do not", without a contraction'),
    (r"\bshould\b", 'write "please" or what to do, not "should"'),
    (r"\b(o?edema|erythema|occlusion|ha?ematoma|necro|lesion)\w*", "use a plain word"),
    (r"!", "no exclamation mark"),
    (r"\b(well done|(good|great) (job|girl|boy)|congratulations|bravo)\b", "no praise"),
    (
        r"\b\d+([.,]\d+)?\s?(mg|ml|mcg|\u00b5g|g|iu|units?|tablets?|pills?|drops|capsules?)\b",
        "no dose",
    ),
    (
        r"\b(paracetamol|acetaminophen|tylenol|antibiotics?|hyaluronidase|cortisone)\b",
        "picks no medicine",
    ),
    (r"\bstop(s|ped)? (taking|using)\b", "stops no medicine"),
    (r"\b(ab)?normal(ly)?\b", "calls nothing normal"),
    (r"\b(nothing|no need|no reason|not) to worry\b", "does not reassure"),
    (r"\b(do not worry|no worries|fine|harmless|(all|looks) good)\b", "does not reassure"),
    (
        r"\b(no need (to call|for a doctor)|do not (go to|see|call) (a|your|the) "
        r"(doctor|hospital|clinic))\b",
        "keeps nobody from help",
    ),
    (r"\b(guarantee\w*|permanent(ly)?|detox\w*)\b", "promises no result"),
    (r"\b(un)?safe(ly)?\b|\b(no|without|zero) risks?\b", "promises no safety"),
    (
        r"\b(los(e|es|ing) weight|(weight|fat) loss|slimm\w+|face ?lift)\b",
        "promises no result",
    ),
)
_LOCKED_ONLY = r"\b(ibuprofen|aspirin)\b"
_RELATIVE = (
    r"\b(today|tomorrow|yesterday|tonight|this (morning|afternoon|evening|week)|(next|last) week"
    r"|in (\d+|an?|one|two|three|a few) (hours?|days?|weeks?|months?))\b"
)
_LOCK_SCREEN_WORDS = (
    r"\b(meso\w*|inject\w*|filler\w*|botox|toxin|peel\w*|needl\w*|laser|lips?|face|facial|cheeks?"
    r"|forehead|scalp|hair|skin|body|belly|thighs?|treatments?|acids?|retinol|medicines?"
    r"|bruis\w*|swell\w*|swollen|pain\w*|lumps?|sore\w*|rash\w*|fever|pus|blister\w*|redness)\b"
)
_EMOJI = re.compile("[\u2600-\u27bf\u2b00-\u2bff\ufe0f\U0001f000-\U0001faff]")
_ENDINGS = re.compile(r"(?<=[.?!:])\s+|\n+")


def grade(text: str) -> float:
    """The Flesch-Kincaid grade of an English text: a screen for hard words, not a proof."""
    sentences = [part for part in _sentences(text) if _words(part)]
    words = [word for part in sentences for word in _words(part)]
    if not words:
        return 0.0
    syllables = sum(_syllables(word) for word in words)
    return 0.39 * len(words) / len(sentences) + 11.8 * syllables / len(words) - 15.59


def banned(text: str) -> list[str]:
    """Which rules of wording a visible English text breaks, wherever it is shown."""
    broken = [
        f"{reason}: {found.group()}"
        for pattern, reason in FORBIDDEN
        if (found := re.search(pattern, text, re.IGNORECASE))
    ]
    if found := _EMOJI.search(text):
        broken.append(f"no emoji: U+{ord(found.group()):04X}")
    return broken


def hard(text: str) -> list[str]:
    """Whether a visible English text asks too much of its reader; commands are typed, not read."""
    found = grade("\n".join(line for line in text.split("\n") if not line.startswith("/")))
    if found <= HIGHEST_GRADE:
        return []
    return [f"reads like grade {found:.1f}, more than {HIGHEST_GRADE:.0f}"]


def lock_screen(text: str) -> list[str]:
    """Which words of a text's first 40 characters others may not read."""
    shown = text[:LOCK_SCREEN] + re.split(r"\W", text[LOCK_SCREEN:])[0]
    words = re.finditer(_LOCK_SCREEN_WORDS, shown, re.IGNORECASE)
    return [f"the first {LOCK_SCREEN} characters say {word.group()}" for word in words]


def relative(source: str, text: str) -> list[str]:
    """Which word of a text would mean another day when it is read later; unless marked so."""
    found = re.search(_RELATIVE, text, re.IGNORECASE)
    if found is None or source.startswith(SAME_DAY):
        return []
    return [f"a real date instead of: {found.group()}"]


def medicines(source: str) -> list[str]:
    """Whether a text's own source names a medicine, which the locked texts alone may do."""
    if re.search(_LOCKED_ONLY, source, re.IGNORECASE):
        return ["a medicine is named in locked/ texts only"]
    return []


def length(text: str) -> list[str]:
    """Which sentences or paragraphs of a visible text are too long."""
    sentences = [
        f"a sentence has more than {LONGEST_SENTENCE} words: {part[:40]}"
        for part in _sentences(text)
        if len(_words(part)) > LONGEST_SENTENCE
    ]
    paragraphs = [
        f"a paragraph has more than {SENTENCES_A_PARAGRAPH} sentences: {line[:40]}"
        for line in text.split("\n")
        if len([part for part in _sentences(line) if _words(part)]) > SENTENCES_A_PARAGRAPH
    ]
    return sentences + paragraphs


def _sentences(text: str) -> list[str]:
    return [part for part in _ENDINGS.split(text) if part.strip()]


def _words(sentence: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|\d+", sentence)


def _syllables(word: str) -> int:
    groups = len(re.findall(r"[aeiouy]+", word.lower()))
    silent = bool(re.search(r"[^aeiouyl]e$|[^aeiouytd]ed$|[^aeiouyscxz]es$", word.lower()))
    return max(1, groups - silent)
