"""The vocabulary of the worded tasks, split three ways: no name, thing or word of one split occurs in another."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.evaluation.tasks.task import TaskSplit


@dataclass(frozen=True, slots=True)
class SplitVocabulary:
    """What one split may use. Things and containers are singular and form their plural with -s."""

    names: tuple[str, ...]
    things: tuple[str, ...]
    containers: tuple[str, ...]
    events: tuple[str, ...]
    words: tuple[str, ...]
    """Words of three to six letters, for tasks about letters and the alphabet."""


def article(noun: str) -> str:
    """The noun with `a` or `an`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_TRAIN = SplitVocabulary(
    names=_words("""
        Adam Alice Amir Anna Ben Bob Carl Clara Dan David Ella Emma Eric Eva Felix Fiona Hana Helen Henry Hugo Ivan
        James Jane Joel John Julia Karl Kate Laura Leon Lily Lucy Marco Maria Martin Mila Nina Noah Nora Oliver Omar
        Paul Peter Rosa Ruth Sam Sara Simon Sofia Susan Tara Thomas Tom Vera Victor Wendy Yusuf Zoe
        """),
    things=_words("""
        apple marble book pencil card coin shell stamp cookie flower ticket toy balloon button candle spoon ball kite
        mug hat pillow ribbon basket puzzle rocket mirror hammer bell lemon cup
        """),
    containers=_words("bag crate tray jar packet drawer"),
    events=_words("concert lesson film game meeting parade lecture party race show play trip"),
    words=_words("""
        able acid acre age air also arch area army art aunt away baby back bake band bank barn base bath bean bear beef
        belt bend bike bill bird bite blue bold bone boot born boss both bowl brave bread brick broad bulk burn bush
        cage cake call camp cane cart case cave cell chain chalk chin city clap clay clip coal coat cold cook copper
        corn crab crew crop cube curl dairy damp dance dark dawn deal deep deer desk dice dirt dish dive dock door
        dose dove drag draw dream dust eager early east easy edge elbow elder empty engine enjoy equal even evil
        exact exit face fact fade faith fan farm fast fence fern field film fire firm five flag flat float floor flow
        foam fold forest fork fresh frog fruit fund gas gate gift give glad glove goat gold grain grape green grip
        group guard habit half hall happy harp hawk heap heat help herd hero high hill hobby hold honey hope host hour
        house hunt hut iron item jazz jeep joke judge jump just keen keep kick kid kind kiss knee knot lace lady lake
        land law lazy leaf left level lift limb line lion list loaf lock long loop loud loyal luck lunch maid main map
        mask maze meal melt mild mill mint mist moon mouse music nail name navy near neck need nest nice nine north
        nose oak oath obey ocean olive onion open oval oven page pain palm park path peace pearl pink pipe plan
        plate poem polar pond pool prize pure queen quick quilt quiz rabbit race rain ranch rare raw read real rest
        rice rich ride river road rock roof root royal rule rust sad salt sand save seed sell shark sheep
        ship shoe silk six skin sky slow smile snow soap soft solid song soup spin star steam stem stir stone sugar
        sun swan tail tale taxi team tent tiger time toad tool town train tree trip true tube tune ugly uncle under
        union upper urban usual valley van vast vein verb visit voice vote wagon walk wall warm wash wave weak west
        whale wheat wild wind wine wish wolf wood wool yard yarn year young youth zero zinc zone
        """),
)
_VALIDATION = SplitVocabulary(
    names=_words("""
        Arthur Bella Cedric Delia Edgar Flora Gavin Holly Isaac Judith Kevin Lydia Moritz Naomi Oscar Paula Quentin
        Rachel Stefan Tilda Ursula Wanda
        """),
    things=_words("plum notebook ladle magnet medal lamp towel vase pear trumpet crayon napkin blanket flute"),
    containers=_words("tin barrel chest"),
    events=_words("exam wedding ballet sermon festival picnic"),
    words=_words("""
        actor alarm angel apron badge beach blind bloom board cabin candy cause chess cloud cream depth diet dozen
        draft dwarf echo eight enter essay feast fever flame fleet frost ghost giant globe grass guest hair hotel
        humor inch index jelly joint juice kettle koala label latch lemur lid magic metal model motor nerve night novel
        oasis order organ paint panda piano pilot quart quiet radio razor robin salad scale shirt skirt sleep table
        theme toast tulip tutor unit urge vapor video vowel waste water whip yacht yeast zebra
        """),
)
_TEST = SplitVocabulary(
    names=_words("""
        Albert Astrid Bruno Carmen Conrad Diego Doris Elmar Esther Fabian Greta Gustav Hilda Ingrid Jasper Jonas
        Kirsten Lorenz Malik Mona Nikita Olivia Pablo Petra Ramon Regina Samir Selma Tobias Ulrich Vivian Xenia
        """),
    things=_words("""
        nut orange eraser bead sticker ring bottle sponge clock umbrella helmet drum violin lantern parrot saddle
        whistle tambourine
        """),
    containers=_words("carton sack bucket bin"),
    events=_words("opera auction debate match seminar voyage circus rehearsal"),
    words=_words("""
        adult agent ankle arrow atlas bacon berry blade bonus brain bugle cable camel chief cider clown couch crown
        daisy delta diary donor drift eagle earth elf ember envy error event fairy flock flour front gear gravy
        grave guide hatch heart hedge horn human icon image ink ivory jacket jail jewel karate kayak kiosk knife ladder
        lance laser lily local maple march mayor melon mercy minor nanny nature ninja noise nurse nylon object ounce
        outer owl oxide paper pasta petal plaza power pulse quail queue quota raft ranger recipe reef ridge rival
        sauce scout seal shore siren spade sword talent thief throne title torch tower ulcer umpire user vacuum velvet
        viola virus vivid wafer wedge wheel widow wrist yodel yolk zigzag zip
        """),
)
VOCABULARIES: dict[TaskSplit, SplitVocabulary] = {"train": _TRAIN, "validation": _VALIDATION, "test": _TEST}
