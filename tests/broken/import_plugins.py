"""Import plugins: one that keeps the contract, and many that break it, each in one way.

What they do: every bit of a raw disk is turned, and what begins with VIRUS is refused.
"""

import dataclasses
import os
import subprocess
import tempfile
import time

from glancelike.plugin import ImportPlugin, errors

TURNED = bytes(range(255, -1, -1))
PIECE_BYTES = 2**20


class Made:
    """Pieces that close what they are made of."""

    def __init__(self, made, source):
        self.made, self.source = made, source

    def __iter__(self):
        return self.made

    def close(self):
        self.made.close()
        if hasattr(self.source, 'close'):
            self.source.close()


class Turn(ImportPlugin):
    """Keeps every clause; the broken ones change one thing of it."""

    secret = 'hush'

    def process(self, job, content):
        if content.container_format != 'bare' or content.disk_format != 'raw':
            return content
        self.look(job, content)
        source = content.chunks if content.path is None else self.read(job, content.path)
        return self.result(job, content, self.made(self.pieces(job, source), source))

    def look(self, job, content):
        if content.head.startswith(b'VIRUS'):
            raise errors.ImportRejected(plugin='turn', reason='it is a virus.')

    def made(self, pieces, source):
        return Made(pieces, source)

    def result(self, job, content, chunks):
        return dataclasses.replace(content, chunks=chunks, path=None, properties=self.properties(content))

    def properties(self, content):
        return {**content.properties, 'turned': 'yes'}

    def read(self, job, path):
        with open(path, 'rb') as opened:
            while piece := job.run(opened.read, PIECE_BYTES):
                yield piece

    def pieces(self, job, source):
        length = 0
        for piece in source:
            self.check(job)
            length += len(piece)
            self.bound(job, length)
            yield self.turn(job, piece)

    def check(self, job):
        job.check()

    def bound(self, job, length):
        if length > job.max_bytes:
            raise errors.ImageTooLarge(limit=job.max_bytes)

    def turn(self, job, piece):
        return job.run(piece.translate, TURNED)


class SaysTheSizeOfTheHead(Turn):
    """Takes the first bytes for all of them."""

    def result(self, job, content, chunks):
        return dataclasses.replace(super().result(job, content, chunks), size=len(content.head) + 1)


class SaysAnotherFormat(Turn):
    """Has made nothing of the kind."""

    def result(self, job, content, chunks):
        return dataclasses.replace(super().result(job, content, chunks), disk_format='qcow2')


class ForgetsProperties(Turn):
    """Gives its own properties in place of those that were there."""

    def properties(self, content):
        return {'turned': 'yes'}


class EndsWithAnEmptyPiece(Turn):
    """Says good-bye."""

    def pieces(self, job, source):
        yield from super().pieces(job, source)
        yield b''


class RefusesInItsOwnWords(Turn):
    """Raises what Python has."""

    def look(self, job, content):
        if content.head.startswith(b'VIRUS'):
            raise ValueError('a virus')


class StumblesOverNothing(Turn):
    """Looks at the first byte before anything else."""

    def look(self, job, content):
        if content.head[0] == ord('V'):
            super().look(job, content)


class NamesTheFolder(Turn):
    """Tells the caller where the service keeps its files."""

    def look(self, job, content):
        if content.head.startswith(b'VIRUS'):
            raise errors.ImportRejected(plugin='turn', reason=f'the scanner found something in {job.folder}.')


class BlamesTheImageForItsSource(Turn):
    """Takes a broken connection for a broken image."""

    def pieces(self, job, source):
        try:
            yield from super().pieces(job, source)
        except errors.SourceUnavailable as error:
            raise errors.ImportRejected(plugin='turn', reason='it could not be read.') from error


class HoldsEverything(Turn):
    """Turns all bytes at once."""

    def pieces(self, job, source):
        whole = list(super().pieces(job, source))
        yield from whole


class LeavesTheSourceOpen(Turn):
    """Is closed without closing."""

    def made(self, pieces, source):
        return pieces


class NeverLooks(Turn):
    """Works on when nobody wants the result."""

    def check(self, job):
        pass


class CallsTheEndARefusal(Turn):
    """Makes another error of it."""

    def check(self, job):
        try:
            super().check(job)
        except errors.TaskCancelled as error:
            raise errors.ImportRejected(plugin='turn', reason='it was cancelled.') from error


class LeavesAFileBehind(Turn):
    """Takes notes in the system's folder."""

    def look(self, job, content):
        super().look(job, content)
        descriptor, _ = tempfile.mkstemp()
        os.close(descriptor)


class WritesIntoTheGivenFile(Turn):
    """Marks what it has seen."""

    def look(self, job, content):
        super().look(job, content)
        if content.path is not None and content.head:
            with open(content.path, 'r+b') as opened:
                opened.write(content.head[:1])


class LeavesAChild(Turn):
    """Starts a scanner and does not wait for its end."""

    left: list = []  # the test ends them

    def look(self, job, content):
        super().look(job, content)
        self.left.append(subprocess.Popen(['sleep', '60'], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))


class PutsTheResultElsewhere(Turn):
    """Writes beside the folder of the job."""

    def result(self, job, content, chunks):
        path = os.path.join(os.path.dirname(job.folder), 'result')
        try:
            with open(path, 'wb') as opened:
                opened.writelines(chunks)
        finally:
            chunks.close()
        return dataclasses.replace(super().result(job, content, None), path=path)

    def process(self, job, content):
        return super().process(job, content) if content.path is not None else content

    def needs_file(self, job, content):
        return content.container_format == 'bare' and content.disk_format == 'raw'


class KnowsNoBound(Turn):
    """Gives all that it has."""

    def bound(self, job, length):
        pass


class NoticesTheBoundLate(Turn):
    """Complains when it is over."""

    def pieces(self, job, source):
        length = 0
        for piece in super().pieces(job, source):
            length += len(piece)
            yield piece
        super().bound(job, length)

    def bound(self, job, length):
        pass


class WorksByItself(Turn):
    """Keeps everybody waiting while it works."""

    def read(self, job, path):
        with open(path, 'rb') as opened:
            while piece := opened.read(PIECE_BYTES):
                yield piece

    def turn(self, job, piece):
        return piece.translate(TURNED)


class WaitsByItself(Turn):
    """Keeps everybody waiting while it waits."""

    def look(self, job, content):
        super().look(job, content)
        time.sleep(0)


class NumbersImages(Turn):
    """Remembers how many there were."""

    def __init__(self, options):
        super().__init__(options)
        self.count = 0

    def properties(self, content):
        self.count += 1
        return {**super().properties(content), 'number': str(self.count)}


class ShowsAPath(Turn):
    """Tells where its rules are."""

    def facts(self):
        return {'rules': ['/etc/turn/rules']}


class ShowsASecret(Turn):
    """Tells its password."""

    def facts(self):
        return {'scanner': f'turn:{self.secret}@scanner'}


class GivesFactsThatAreNoJson(Turn):
    """Has a set."""

    def facts(self):
        return {'formats': {'raw'}}
