from whisper_server.engines.whisper import batches
from whisper_server.engines.whisper.voice_activity import Window


def test_a_text_without_its_last_time_is_whole() -> None:
    begin = 50364
    tokens = [begin, 1, begin + 100, begin + 100, 2, 3]
    pieces = list(batches._pieces(tokens, Window(10, 17), begin))
    assert [(piece["start"], piece["end"]) for piece in pieces] == [(10, 12), (12, 17)]
    assert pieces[1]["tokens"] == [begin + 100, 2, 3, begin + 350]
