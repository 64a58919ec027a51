"""Short texts in many scripts, with what their words are, written out by hand.

`TEXTS` gives for every name lines as lists of words and the blanks between them: "" where words touch.
"""

from __future__ import annotations

TEXTS: dict[str, list[tuple[list[str], str]]] = {
    "chinese": [(list("我喜欢吃苹果和香蕉"), ""), (list("今天天气很好。"), ""), (list("他买了一本新书给妹妹"), "")],
    "japanese": [(list("わたしは学生です"), ""), (["カ\u3099", "ラ", "ス", "を", "見", "た"], ""), (list("パーティーだ"), "")],
    "thai": [(["กิ", "น", "ข้", "า", "ว"], ""), (["น้ำ", "ดื่", "ม"], ""), (["เ", "ที่", "ย", "ว", "ทำ"], "")],
    "lao": [(["ສ", "ະ", "ບ", "າ", "ຍ", "ດີ"], ""), (["ກິ", "ນ", "ເ", "ຂົ້", "າ"], "")],
    "khmer": [(["ខ្ញុំ", "ស្រ", "ឡា", "ញ់", "អ្ន", "ក"], ""), (["ទឹ", "ក", "ត្រី"], "")],
    "burmese": [(["မြ", "န်", "မာ", "စ", "ကား"], ""), (["ရေ", "သော", "က်"], "")],
    "mixed": [(["我", "用", "iPhone", "拍", "照"], ""), (["看", "《", "Titanic", "》", "吧"], ""), (list("他喜欢猫"), "")],
    "divided chinese": [(["我", "喜欢", "苹果", "。"], " "), (["今天", "天气", "很", "好"], " ")],
    "divided thai": [(["ฉัน", "กิน", "ข้าว"], " "), (["น้ำ", "เย็น", "มาก"], "\u200b")],
    "divided japanese": [(["私", "は", "学生", "です"], "\u3000"), (["猫", "が", "すき", "です"], "\u3000")],
    "korean": [(["나는", "밥을", "먹는다"], " "), (["오늘", "날씨가", "좋다"], " ")],
    "vietnamese": [(["tôi", "ăn", "cơm"], " "), (["ho\u0323c", "sinh"], " ")],
    "arabic": [(["أَكَلَ", "الوَلَدُ", "التُّفَّاحَةَ"], " "), (["كتاب", "جديد"], "\u00a0")],
    "hindi": [(["मैं", "सेब", "खाता", "हूँ"], " "), (["किताब", "नई", "है।"], "  ")],
    "tibetan": [(["བོད", "སྐད", "ཡིན།"], "\u0f0b"), (["ང", "ཚོ", "འགྲོ"], "\u0f0b")],
    "amharic": [(["ሰላም", "ለዓለም", "ሁሉ"], "\u1361"), (["ውሃ", "ጠጣ"], "\u1361")],
    "english": [(["the", "old", "dog,", "sleeps"], " "), (["a", "cat"], "\t"), (["don't", "go"], "\u00a0 ")],
}  # fmt: skip

CHARACTERS = ("chinese", "japanese", "thai", "lao", "khmer", "burmese", "mixed")
"""Texts of which the words are characters."""
ONE_TOKEN = (*CHARACTERS, "tibetan", "amharic")
"""Texts that white space does not divide into words."""


def lines(name: str) -> list[str]:
    """Return the lines of a text."""
    return [blank.join(words) for words, blank in TEXTS[name]]
