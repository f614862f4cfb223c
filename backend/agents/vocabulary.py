"""The words that carry no picture: what `cues` passes over in a sentence."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTION_WORDS = _words(
    """
    a about above across after again against ah ain't all almost along already also although
    always am among an and any anybody anyone anything are aren't around as at away back be
    because been before behind being below beneath beside between beyond both but by can can't
    cannot could couldn't did didn't do does doesn't doing don't done down during each either
    else enough even ever every everybody everyone everything few for from had hadn't has hasn't
    have haven't having he he's her here here's hers herself him himself his how how's however i
    i'd i'll i'm i've if in inside into is isn't it it's its itself just least less let's many
    may me might mine more most much must mustn't my myself near neither never no nobody none
    nor not nothing now of off often oh ok okay on once one only onto or other others our ours
    ourselves out outside over own per perhaps please quite rather same shall she she's should
    shouldn't since so some somebody someone something sometimes soon still such than that
    that's the their theirs them themselves then there there's these they they'd they'll they're
    they've this those though through thus till to together too toward towards uh um under
    unless until up upon us very was wasn't we we'd we'll we're we've well were weren't what
    what's whatever when whenever where where's wherever whether which while who who's whoever
    whom whose why will with within without won't would wouldn't yes yet you you'd you'll you're
    you've your yours yourself yourselves
    """
)
"""Words of grammar; a phrase never ends on one."""

WEAK_WORDS = _words(
    """
    actually ask asked asking bad big bit came come comes coming dish dishes first five four
    gave get gets getting give given gives go goes going gone gonna good got happen happens keep
    kind know known knows let like liked little long look looks lot made make makes making maybe
    mean means need needs new number one put really said saw say says second see seem seems seen
    simply six small sort speaker speakers talk tell tells thing things think third thought
    three told took truly try two use want wanted wants way
    """
)
"""Words with too little in them to be worth an answer of their own."""

WEAK_NOUNS = _words(
    """
    end kind one part place side thing things time way
    """
)
"""Nouns that may end a phrase which a determiner has begun: `the wrong way`, `the small one`."""

TIME_ADVERBS = _words(
    """
    afterwards backwards today tomorrow tonight yesterday
    """
)
"""Words that follow a phrase without belonging to it."""

COMMON_VERBS = _words(
    """
    answer ask became become began begin believe break breathe bring broke brought build built
    burn call came carry change climb close come cross cry dance die died disappear draw dream
    drew drift drink eat fall feel fell felt fight find flew float flow fly follow forget get
    give go grew grow happen hear heard held help hold hope hurt keep kept kiss knew know laugh
    learn leave left lie like listen live look lose lost love make mean meet melt met miss move
    need open pass play ran remember rest return ring rise rose run sang sank sat save say see
    seem shake shine sing sink sit sleep slept smell smile sound speak spoke stand start stay
    stood stop sung swam swim swum take talk taste teach tell think told took tremble try turn
    wait wake walk want wash watch wear went wept whisper wish woke wonder work worry write
    wrote
    """
)
"""Verbs that would otherwise be taken into the noun phrase before them."""

FOREIGN_FUNCTION_WORDS = _words(
    """
    am as au auf aux avec ce cette che com con cómo dans das del della dem den der des di die du
    e een ein eine einen el ela ele ella elle em en er es est et eu für gli het hij hoe ich ihr
    ik il im io ist je jij kein la las le lei les lo los lui ma mein meine mes met meu mi mia
    mijn minha mio mis mit mon ne nel nicht niet no noi non nosotros nous não nós o oder os ou
    para pas per perché por pour que qui quoi qué sie sind son sono sont su são tu tú uma un una
    und une van von voor vous waarom war warum wenn wie wij wir y yo zijn zu è él
    """
)
"""The commonest words of six neighbouring languages: enough to notice that it is not English."""
