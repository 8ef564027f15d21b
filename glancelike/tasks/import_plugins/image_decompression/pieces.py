"""Bytes on their way through a plugin: read piece by piece, closed with what they are made of."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from glancelike.plugin import Content, ImportJob

PIECE_BYTES = 2**20


class Pieces(Iterator[bytes]):
    """What a generator makes of other pieces.

    A generator that was never started does not run its ``finally`` when it is closed; this closes *source* then, too.

    :param made: the pieces
    :param source: what they are made of
    """

    def __init__(self, made: Generator[bytes, None, None], source: Iterable[bytes]):
        self._made = made
        self._source = source

    def __next__(self) -> bytes:
        return next(self._made)

    def close(self) -> None:
        """Give up what is open; may be called at any time, and again."""
        try:
            self._made.close()
        finally:
            close = getattr(self._source, 'close', None)
            if close is not None:
                close()


def pieces_of(job: ImportJob, content: Content) -> Iterable[bytes]:
    """The content's bytes in order, whether they come as chunks or as a file; ``close`` gives them up."""
    return content.chunks if content.chunks is not None else _from_file(job, content.path)


def _from_file(job: ImportJob, path: str) -> Generator[bytes, None, None]:
    with open(path, 'rb') as opened:
        while piece := job.run(opened.read, PIECE_BYTES):
            yield piece
