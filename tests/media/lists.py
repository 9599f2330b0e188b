"""Small texts and containers that make a media library open something else: each a file that is no recording."""

import struct

HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT9S">'
    '<Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1">'
    "<BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>"
)
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n"
SMIL = '<smil xmlns="http://www.w3.org/2001/SMIL20/Language"><body><audio src="{target}"/></body></smil>'
IMF = (
    '<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>urn:uuid:1</Id>'
    "<SegmentList><Segment><SequenceList><TrackFileId>{target}</TrackFileId></SequenceList></Segment></SegmentList>"
    "</CompositionPlaylist>"
)
RTSP = "rtsptext\nrtsp://127.0.0.1:{port}/a\n"

# Each names `{target}`: a path, an address or a descriptor.
NAMING = {
    "ffconcat": "ffconcat version 1.0\nfile {target}\n",
    "ffconcat quoted": "ffconcat version 1.0\nfile '{target}'\n",
    "ffconcat with stream": "ffconcat version 1.0\nstream\nexact_stream_id 1\nfile {target}\nduration 3600\n",
    "ffconcat with options": "ffconcat version 1.0\nfile {target}\noption protocol_whitelist file,pipe,fd,http,tcp\n",
    "ffconcat after a mark": "\ufeffffconcat version 1.0\nfile {target}\n",
    "ffconcat after a comment": "# list\nffconcat version 1.0\nfile {target}\n",
    "concat without header": "file {target}\n",
    "hls": HLS,
    "hls with key": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n',
    "hls with map": '#EXTM3U\n#EXT-X-MAP:URI="{target}"\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n',
    "hls of variants": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n",
    "m3u": "#EXTM3U\n#EXTINF:9,title\n{target}\n",
    "dash": DASH,
    "smil": SMIL,
    "imf": IMF,
    "pls": "[playlist]\nFile1={target}\nLength1=9\nNumberOfEntries=1\nVersion=2\n",
    "asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "asf reference": "[Reference]\nRef1={target}\n",
    "realmedia": "{target}\n",
    "tedcaptions": '{{"captions":[{{"duration":9000,"content":"{target}","startTime":0}}]}}',
    "sami": "<SAMI><BODY><SYNC Start=0><P>{target}</BODY></SAMI>",
    "webvtt": "WEBVTT\n\n00:00.000 --> 00:09.000\n{target}\n",
    "ffmetadata": ";FFMETADATA1\ntitle={target}\n",
    "vobsub": "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>',
}

# How a target can be spelled; `{path}` is the recording of somebody else.
SPELLINGS = (
    "{path}",
    "file:{path}",
    "file://{path}",
    "concat:{path}|{path}",
    "subfile,,start,0,end,9999,,:{path}",
    "crypto:{path}",
    "async:{path}",
    "cache:{path}",
    "concatf:{path}",
    "md5:{path}",
    "../../../../../../../../..{path}",
)


def _box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def mov_naming(path: str) -> bytes:
    """A QuickTime film whose samples are in another file: a data reference of kind `alis`, by absolute path."""
    name = path.encode()
    alias = bytearray(150)
    struct.pack_into(">IHH", alias, 0, 0, 150, 2)
    record = struct.pack(">HH", 2, len(name)) + name + b"\0" * (len(name) % 2)
    record += struct.pack(">HH", 18, len(name)) + name + b"\0" * (len(name) % 2) + struct.pack(">HH", 0xFFFF, 0)
    dref = _box(b"dref", struct.pack(">II", 0, 1), _box(b"alis", struct.pack(">I", 0), bytes(alias), record))
    sound = struct.pack(">6xHHHIHHHHI", 1, 0, 0, 0, 1, 16, 0, 0, 16_000 << 16)
    stbl = _box(
        b"stbl",
        _box(b"stsd", struct.pack(">II", 0, 1), _box(b"sowt", sound)),
        _box(b"stts", struct.pack(">IIII", 0, 1, 16_000, 1)),
        _box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 16_000, 1)),
        _box(b"stsz", struct.pack(">III", 0, 2, 16_000)),
        _box(b"stco", struct.pack(">III", 0, 1, 44)),
    )
    times = struct.pack(">IIIIIHH", 0, 0, 0, 16_000, 16_000, 0, 0)
    handler = _box(b"hdlr", struct.pack(">I4s4s12x", 0, b"mhlr", b"soun"), b"\0")
    media = _box(b"mdia", _box(b"mdhd", times), handler, _box(b"minf", _box(b"dinf", dref), stbl))
    track = _box(b"trak", _box(b"tkhd", struct.pack(">IIIII", 3, 0, 0, 1, 0), bytes(64)), media)
    movie = _box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 16_000, 16_000), bytes(80))
    return _box(b"ftyp", b"qt  ", bytes(4), b"qt  ") + _box(b"moov", movie, track) + _box(b"mdat", bytes(64))
