"""Languages as clients spell them, and the codes that Whisper has for them.

Sources: ISO 639-1, 639-2 (both codes where they differ) and 639-3, BCP 47, and the names in OpenAI's Whisper.
"""

import re
from collections.abc import Collection

# Per language: Whisper's code, then every other spelling of it. A hyphen stands for any separator.
_TABLE = """
af afr afrikaans | am amh amharic | ar ara arb arabic | as asm assamese | az aze azj azb azerbaijani | ba bak bashkir
be bel belarusian | bg bul bulgarian | bn ben bengali bangla | bo bod tib tibetan | br bre breton | bs bos bosnian
ca cat catalan valencian | cs ces cze czech | cy cym wel welsh | da dan danish | de deu ger german | el ell gre greek
en eng english | es spa spanish castilian | et est ekk estonian | eu eus baq basque | fa fas per pes prs persian farsi
fi fin finnish | fo fao faroese | fr fra fre french | gl glg galician | gu guj gujarati | ha hau hausa
haw hawaiian | he heb iw hebrew | hi hin hindi | hr hrv croatian | ht hat haitian haitian-creole | hu hun hungarian
hy hye arm armenian | id ind in indonesian | is isl ice icelandic | it ita italian | ja jpn japanese
jw jv jav javanese | ka kat geo georgian | kk kaz kazakh | km khm khmer central-khmer | kn kan kannada | ko kor korean
la lat latin | lb ltz luxembourgish letzeburgesch | ln lin lingala | lo lao | lt lit lithuanian | lv lav lvs latvian
mg mlg plt malagasy | mi mri mao maori | mk mkd mac macedonian | ml mal malayalam | mn mon khk mongolian
mr mar marathi | ms msa may zsm malay | mt mlt maltese | my mya bur burmese myanmar | ne nep npi nepali
nl nld dut dutch flemish | nn nno nynorsk norwegian-nynorsk | no nor nb nob norwegian bokmal bokmål norwegian-bokmål
oc oci occitan | pa pan panjabi punjabi | pl pol polish | ps pus pushto pashto | pt por portuguese
ro ron rum mo moldavian moldovan romanian | ru rus russian | sa san sanskrit | sd snd sindhi | si sin sinhala sinhalese
sk slk slo slovak | sl slv slovenian | sn sna shona | so som somali | sq sqi alb als albanian | sr srp serbian
su sun sundanese | sv swe swedish | sw swa swh swahili | ta tam tamil | te tel telugu | tg tgk tajik | th tha thai
tk tuk turkmen | tl tgl fil tagalog filipino | tr tur turkish | tt tat tatar | uk ukr ukrainian | ur urd urdu
uz uzb uzn uzbek | vi vie vietnamese | yi yid ydd ji yiddish | yo yor yoruba
zh zho chi cmn chinese mandarin mandarin-chinese | yue zh-yue cantonese yue-chinese
"""

_SPELLINGS = {
    spelling: entry.split()[0] for entry in re.split(r"[|\n]", _TABLE) if entry.strip() for spelling in entry.split()
}
_DETECT = ("", "auto")
# BCP 47: a language, then subtags of script, region and the like (RFC 5646, section 2.1).
_TAG = re.compile(r"([a-z]{2,3})(-[a-z0-9]{1,8})+", re.ASCII)


def language_code(given: str, known: Collection[str]) -> str | None:
    """The code, one of `known`, of a language that a client named, None to detect it.

    Takes ISO codes, BCP 47 tags, English names, `auto` and nothing, in any case. Raises ValueError for others.
    """
    spelling = re.sub(r"[\s_]+", "-", given.strip().lower())
    if spelling in _DETECT:
        return None
    candidates = [spelling]
    if tag := _TAG.fullmatch(spelling):
        # The first two subtags take precedence over the first: zh-yue-HK is Cantonese, zh-TW is Chinese.
        candidates += ["-".join(spelling.split("-")[:2]), tag[1]]
    code = next((_SPELLINGS[candidate] for candidate in candidates if candidate in _SPELLINGS), None)
    if code not in known:
        raise ValueError(f"The language {given[:50]!r} is unknown.")
    return code
