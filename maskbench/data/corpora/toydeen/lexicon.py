"""The words of `toydeen`, English and German, as tables that can be checked against a dictionary.

Regular forms are built by rule in `inflection`; irregular forms are listed here. There are no nouns of the
weak declension and no genitive. German nouns are capitalised, the first word of a sentence is not.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

Case: TypeAlias = Literal["nom", "acc", "dat"]
Gender: TypeAlias = Literal["m", "f", "n"]
Agreement: TypeAlias = Literal["m", "f", "n", "p"]
"""What determiners, adjectives and relative pronouns agree with: a gender in the singular, or the plural."""
Declension: TypeAlias = Literal["weak", "mixed", "strong"]
"""The set of adjective endings that a determiner requires."""


class Noun(NamedTuple):
    """A noun with one German sense."""

    english: str
    english_plural: str
    german: str
    german_plural: str
    gender: Gender


class Homograph(NamedTuple):
    """One English noun with two German senses of different gender."""

    indoors: Noun
    outdoors: Noun


class Determiner(NamedTuple):
    """An article or a word in its place; an empty English form does not occur in that number."""

    english: str
    english_plural: str
    stem: str
    declension: Declension


class Verb(NamedTuple):
    """A verb in the third person; a separable one is listed without its particle."""

    english: str
    english_singular: str
    english_participle: str
    german_singular: str
    german_plural: str
    """The plural form, which is also the infinitive."""
    german_participle: str
    auxiliary: str
    """The auxiliary of the perfect: `h` (haben) or `s` (sein)."""
    object_case: Case = "acc"
    english_particle: str = ""
    german_particle: str = ""


class WordPair(NamedTuple):
    """A word with one form in each language."""

    english: str
    german: str


class Preposition(NamedTuple):
    """A preposition and the case it governs."""

    english: str
    german: str
    case: Case


class Modal(NamedTuple):
    """A modal verb: one English form, two German ones."""

    english: str
    german_singular: str
    german_plural: str


def _nouns(table: str) -> tuple[Noun, ...]:
    rows = (line.split() for line in table.strip().splitlines())
    genders: dict[str, Gender] = {"m": "m", "f": "f", "n": "n"}
    return tuple(Noun(a, b, c, d, genders[e]) for a, b, c, d, e in rows)


def _verbs(table: str, object_case: Case = "acc") -> tuple[Verb, ...]:
    rows = (line.split() for line in table.strip().splitlines())
    return tuple(Verb(a, b, c, d, e, f, g, object_case) for a, b, c, d, e, f, g in rows)


PEOPLE: Final = _nouns("""
man men Mann Männer m
father fathers Vater Väter m
teacher teachers Lehrer Lehrer m
king kings König Könige m
doctor doctors Arzt Ärzte m
baker bakers Bäcker Bäcker m
woman women Frau Frauen f
mother mothers Mutter Mütter f
sister sisters Schwester Schwestern f
queen queens Königin Königinnen f
child children Kind Kinder n
girl girls Mädchen Mädchen n
""")

ANIMALS: Final = _nouns("""
dog dogs Hund Hunde m
bird birds Vogel Vögel m
cat cats Katze Katzen f
cow cows Kuh Kühe f
goat goats Ziege Ziegen f
duck ducks Ente Enten f
horse horses Pferd Pferde n
animal animals Tier Tiere n
pig pigs Schwein Schweine n
chicken chickens Huhn Hühner n
lamb lambs Lamm Lämmer n
pony ponies Pony Ponys n
""")

ANIMATE: Final = (*PEOPLE, *ANIMALS)

INANIMATE: Final = _nouns("""
table tables Tisch Tische m
key keys Schlüssel Schlüssel m
ball balls Ball Bälle m
apple apples Apfel Äpfel m
letter letters Brief Briefe m
tree trees Baum Bäume m
spoon spoons Löffel Löffel m
chair chairs Stuhl Stühle m
lamp lamps Lampe Lampen f
door doors Tür Türen f
flower flowers Blume Blumen f
bottle bottles Flasche Flaschen f
cup cups Tasse Tassen f
clock clocks Uhr Uhren f
bridge bridges Brücke Brücken f
newspaper newspapers Zeitung Zeitungen f
book books Buch Bücher n
house houses Haus Häuser n
picture pictures Bild Bilder n
window windows Fenster Fenster n
car cars Auto Autos n
knife knives Messer Messer n
ship ships Schiff Schiffe n
wheel wheels Rad Räder n
""")

HOMOGRAPHS: Final = tuple(
    Homograph(indoors, outdoors)
    for indoors, outdoors in zip(
        _nouns("""
bank banks Bank Banken f
bow bows Schleife Schleifen f
court courts Gericht Gerichte n
pen pens Stift Stifte m
club clubs Verein Vereine m
seal seals Siegel Siegel n
"""),
        _nouns("""
bank banks Ufer Ufer n
bow bows Bogen Bögen m
court courts Hof Höfe m
pen pens Gehege Gehege n
club clubs Keule Keulen f
seal seals Robbe Robben f
"""),
        strict=True,
    )
)

INDOORS: Final = WordPair("indoors", "drinnen")
OUTDOORS: Final = WordPair("outdoors", "draußen")
"""The two cues: a cue decides the sense of every homograph of its sentence."""

DETERMINERS: Final = (
    Determiner("the", "the", "d", "weak"),
    Determiner("this", "these", "dies", "weak"),
    Determiner("every", "", "jed", "weak"),
    Determiner("a", "", "ein", "mixed"),
    Determiner("no", "no", "kein", "mixed"),
    Determiner("my", "my", "mein", "mixed"),
    Determiner("", "some", "einig", "strong"),
)

ADJECTIVES: Final = tuple(
    WordPair(*pair.split("/"))
    for pair in [
        "old/alt",
        "young/jung",
        "small/klein",
        "big/groß",
        "fast/schnell",
        "pretty/schön",
        "red/rot",
        "blue/blau",
        "green/grün",
        "new/neu",
        "cold/kalt",
        "warm/warm",
        "rich/reich",
        "poor/arm",
        "quiet/ruhig",
        "loud/laut",
        "heavy/schwer",
        "light/leicht",
        "strong/stark",
        "white/weiß",
    ]
)

ADVERBS: Final = tuple(
    WordPair(*pair.split("/"))
    for pair in [
        "today/heute",
        "often/oft",
        "sometimes/manchmal",
        "rarely/selten",
        "here/hier",
        "now/jetzt",
        "again/wieder",
        "always/immer",
    ]
)

PREPOSITIONS: Final = (
    Preposition("near", "neben", "dat"),
    Preposition("behind", "hinter", "dat"),
    Preposition("with", "mit", "dat"),
    Preposition("without", "ohne", "acc"),
)

INTRANSITIVE: Final = _verbs("""
sleep sleeps slept schläft schlafen geschlafen h
laugh laughs laughed lacht lachen gelacht h
dance dances danced tanzt tanzen getanzt h
wait waits waited wartet warten gewartet h
work works worked arbeitet arbeiten gearbeitet h
sing sings sung singt singen gesungen h
cry cries cried weint weinen geweint h
dream dreams dreamt träumt träumen geträumt h
run runs run läuft laufen gelaufen s
swim swims swum schwimmt schwimmen geschwommen s
fall falls fallen fällt fallen gefallen s
grow grows grown wächst wachsen gewachsen s
""")

TRANSITIVE: Final = (
    *_verbs("""
see sees seen sieht sehen gesehen h
find finds found findet finden gefunden h
buy buys bought kauft kaufen gekauft h
love loves loved liebt lieben geliebt h
paint paints painted malt malen gemalt h
carry carries carried trägt tragen getragen h
push pushes pushed schiebt schieben geschoben h
hear hears heard hört hören gehört h
hold holds held hält halten gehalten h
wash washes washed wäscht waschen gewaschen h
forget forgets forgotten vergisst vergessen vergessen h
need needs needed braucht brauchen gebraucht h
sell sells sold verkauft verkaufen verkauft h
steal steals stolen stiehlt stehlen gestohlen h
hide hides hidden versteckt verstecken versteckt h
pull pulls pulled zieht ziehen gezogen h
describe describes described beschreibt beschreiben beschrieben h
seek seeks sought sucht suchen gesucht h
"""),
    *_verbs(
        """
help helps helped hilft helfen geholfen h
follow follows followed folgt folgen gefolgt s
""",
        object_case="dat",
    ),
)

DITRANSITIVE: Final = _verbs("""
give gives given gibt geben gegeben h
show shows shown zeigt zeigen gezeigt h
send sends sent schickt schicken geschickt h
lend lends lent leiht leihen geliehen h
bring brings brought bringt bringen gebracht h
offer offers offered bietet bieten geboten h
""")

SEPARABLE: Final = tuple(
    verb._replace(english_particle=english, german_particle=german)
    for verb, english, german in zip(
        _verbs("""
call calls called ruft rufen gerufen h
pick picks picked holt holen geholt h
turn turns turned schaltet schalten geschaltet h
wake wakes woken weckt wecken geweckt h
throw throws thrown wirft werfen geworfen h
take takes taken nimmt nehmen genommen h
"""),
        ("up", "up", "off", "up", "away", "along"),
        ("an", "ab", "aus", "auf", "weg", "mit"),
        strict=True,
    )
)

CLAUSAL: Final = _verbs("""
say says said sagt sagen gesagt h
know knows known weiß wissen gewusst h
think thinks thought denkt denken gedacht h
hope hopes hoped hofft hoffen gehofft h
believe believes believed glaubt glauben geglaubt h
claim claims claimed behauptet behaupten behauptet h
""")

MODALS: Final = (
    Modal("must", "muss", "müssen"),
    Modal("can", "kann", "können"),
    Modal("should", "soll", "sollen"),
)

AUXILIARIES: Final = {"h": ("hat", "haben"), "s": ("ist", "sind")}
"""Singular and plural of the verb that forms the perfect."""
