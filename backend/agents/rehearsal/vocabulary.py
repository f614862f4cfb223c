"""Word lists by which `keywords` extracts keywords and recognises languages."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTION_WORDS = _words(
    """
    a about above across after again against ah ain't all almost along already also although always
    am among an and any anybody anyone anything anywhere are aren't around as at away back be
    because been before behind being below beneath beside between beyond both but by can can't
    cannot could couldn't did didn't do does doesn't doing don't done down during each either else
    enough even ever every everybody everyone everything everywhere few for from had hadn't has
    hasn't have haven't having he he's her here here's hers herself him himself his how how's
    however i i'd i'll i'm i've if in inside into is isn't it it's its itself just least less let's
    many may me might mine more most much must mustn't my myself near neither never no nobody none
    nor not nothing now nowhere of off often oh ok okay on once one only onto or other others our
    ours ourselves out outside over own per perhaps please quite rather same shall she she's should
    shouldn't since so some somebody someone something sometimes somewhere soon still such than
    that that's the their theirs them themselves then there there's these they they'd they'll
    they're they've this those though through thus till to together too toward towards uh um under
    unless until up upon us very was wasn't we we'd we'll we're we've well were weren't what what's
    whatever when whenever where where's wherever whether which while who who's whoever whom whose
    why will with within without won't would wouldn't yes yet you you'd you'll you're you've your
    yours yourself yourselves
    """
)
"""Function words; a phrase never ends with one."""

QUESTION_WORDS = _words(
    """
    am are can could did do does have has how is may shall should was were what when where which
    who whom whose why will would
    """
)
"""Words that begin a question."""

WEAK_WORDS = _words(
    """
    actually ago ask asked asking bad big bit came careful come comes coming dish dishes far first
    five four gave get gets getting give given gives go goes going gone gonna good got happen
    happens honestly keep kind know known knows last let like liked little long longer look looks
    lot lower made make makes making maybe mean means need needs new next number one put really
    said saw say says second see seem seems seen simply six small smaller sort speaker speakers
    suppose talk tell tells thing things think third thought three told took truly try two use want
    wanted wants way
    """
)
"""Words with too little meaning for an answer of their own."""

WEAK_NOUNS = _words("end kind one part place side thing things time way")
"""Nouns that may end a phrase which a determiner has begun: `the wrong way`, `the small one`."""

ADJECTIVES = _words(
    """
    afraid alive angry beautiful black blue bright brown calm certain clear cold cool dark deep
    dirty dry empty fast flat free full funny gray green grey happy hard heavy high hot hungry
    important late left loud lovely low nice old open orange pink possible previous purple quick
    quiet ready real red rich right round sad safe short silent slow soft sorry strange strong sure
    sweet tall tired true ugly warm weak wet white whole wide wise wrong yellow young
    """
)
"""Words that stand before their noun, or after it and then outside its phrase; never as its end."""

PEOPLE = _words(
    """
    aunt babies baby boss boy boyfriend brother brothers child children colleague cousin dad
    daughter daughters doctor family father friend friends girl girlfriend grandfather grandma
    grandmother grandpa granny guy husband keeper kid kids lady man men mom mother mum neighbor
    neighbour parents partner people person sister sisters son sons student teacher twins uncle
    wife woman women
    """
)
"""Nouns for people: what is done to a thing in play is not done to them."""

PLURALS = _words("children feet geese kids men mice people teeth women")
"""Nouns in the plural that do not end in s."""

DULL_NOUNS = WEAK_NOUNS | _words(
    """
    answer date end half kinds matter middle minute parts question record rest room second sentence
    times unit visitor voice word
    """
)
"""Nouns that say little of what was said; a phrase that ends in one is taken up last."""

TIME_ADVERBS = _words("afterwards backwards overnight today tomorrow tonight yesterday")
"""Words that follow a phrase without belonging to it."""

COMMON_VERBS = _words(
    """
    answer ask became become began begin believe born bought break breathe bring broke brought
    build built burn call came carry caught change chose climb close come cross cry cut dance dealt
    die died disappear draw dream dress drew drift drink drip drop drove eat fall feel fell felt
    fight find fit flew flip float flow fly follow forget froze get give go grew grow guess happen
    hear heard held help hid hit hold hope hum hurry hurt keep kept kiss knew know laugh learn
    leave led left lie lift like listen live look lose lost love make mean meet melt met miss move
    need open paid pass play pour push put quit ran read remember rest return ring rise rode rose
    run sang sank sat save say see seem sent shake shall shine shook show sing sink sit sleep slept
    smell smile sold sound speak spent spilt splash spoke stand start stay stole stood stop sung
    swam swear swim swum take talk taste taught teach tell think told took tore trade tremble try
    turn wait wake walk want wash watch wear went wept whisper wish woke wonder wore work worry
    write wrote
    """
)
"""Verbs that would otherwise be taken into the noun phrase before them."""

_LANGUAGES = {
    "German": """
        abend aber alle auch auf aus bei bist danke das dass dein deine dem der des dich dir doch
        du durch ein eine einem einen einer es euch fühle für ganz gestern grüezi gute guten habe
        haben hallo hast heute hier ich ihm ihn ihr im immer ist ja jetzt kann katze kein keine
        keinen komm liebe mehr mein meine meinem meinen meiner mich mir mit moin morgen muss nach
        nacht nein nicht nichts noch nur oder schläft schon sehr sein seine servus sich sie sind
        tot tschüss und uns unser viel vom von vor wann warum wasser weil wenn wer wie wir wird wo
        zu zum zur über
    """,
    "French": """
        ai aime ainsi aller au aussi aux avec avez avons bien bonjour bonsoir c' ce cela ces cette
        chez d' dans de des deux du eau elle elles en est et fait il ils j' je l' la le les leur
        lui m' ma mais merci moi mon mort mère n' ne nos notre nous on ont ou oui où par pas peut
        peux pour pourquoi père qu' quand que quel quelle qui quoi rien s' salut ses si sommes sont
        suis sur t' ta tes toi tous tout très tu un une va veux vie vivre voici vos votre vous y à
        ça été être
    """,
    "Spanish": """
        adiós agua al algo amo aquí así bien buenas buenos como cuando cuál cómo de del donde dónde
        el ella ellos en encanta eres es esta este esto estoy está están estás gracias gusta gustan
        hay he hola hoy la las le les lo los lugar madre mañana mi mis mucho muerto murió muy más
        nada nadie ni nos nosotros otra otro padre para pero por porque puede que quien quieres
        quiero quién qué se ser si siempre sin sobre soy su sus sé sí también te tengo tiene todo
        tu tus tú un una usted vida y ya yo él
    """,
    "Italian": """
        all' alla amo anche bene buonasera buongiorno c' che chi ci ciao come cosa cosi così cuore
        d' da dal dalla degli dei del dell' della delle di e ed essere gli grazie hai ho il io l'
        la le lei lo loro lui ma madre mai mare mi mia mie mio molto morto ne nel nella niente noi
        non nostra nostro oggi ogni padre per perché più posso qualcosa quando quella quello questa
        questo se sei senza si siamo sono sta sto sua sul sulla suo ti tra tu tua tuo tutti tutto
        un' una uno vita voglio voi è
    """,
    "Portuguese": """
        amo ao aos aqui bom como das de dela dele dia dos ela ele em essa esse estou está eu foi
        hoje isso isto já lhe mais mas meu meus minha muito nas nem nos nunca não nós obrigada
        obrigado olá os ou para pela pelo por porque qual quando que quem quero saudade saudades se
        sem ser seu sim sobre sou sua são também te tem tenho tudo um uma vida você à é
    """,
    "Dutch": """
        aan alles als altijd ben bent dat de deze dit een en er gaat geen haar heb hebben heeft het
        hij hoe hun iets ik je jij jouw jullie kan maar mag meer met mijn naar niet niets nog nu
        omdat ons onze ook over uit veel voor waar waarom we wel wij wil worden zal ze zee zich zij
        zijn zo
    """,
}
LANGUAGES = {
    language: _words(words) - FUNCTION_WORDS - WEAK_WORDS for language, words in _LANGUAGES.items()
}
"""The commonest words of six neighbouring languages: enough to notice that it is not English."""

SCRIPTS = {
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HANGUL": "Korean",
    "CJK": "Chinese",
    "GREEK": "Greek",
    "HEBREW": "Hebrew",
    "THAI": "Thai",
}
"""Scripts of one language, as their letters' Unicode names begin; kana before Chinese signs."""
