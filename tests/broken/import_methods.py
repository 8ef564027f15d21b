"""Import methods that break their contract, each in one way."""

import errno
import logging
import os
import select

from oslo_config import cfg

from glancelike.plugin import Content, ImportMethod, errors

LOG = logging.getLogger(__name__)


class ShelfMethod(ImportMethod):
    """Keeps every clause: a file on a shelf, by name; a FIFO stands for a server."""

    OPTIONS = (cfg.StrOpt('shelf_folder', help='Where the files are.'),
               cfg.StrOpt('shelf_password', default='pa55word', secret=True, help='What they are read with.'))
    WAIT_SECONDS = 0.2
    PIECE_BYTES = 2**20

    def check(self, ctx, method):
        self.look_at(ctx, method)
        name = method.get('file')
        if not isinstance(name, str) or not name or not name.isprintable() or set(name) & {'/'}:
            raise self.refusal(name)
        return self.kept(ctx, {'file': name})

    def look_at(self, ctx, method):
        """Nothing else."""

    def refusal(self, name):
        return errors.Invalid(reason='file: there is no such name')

    def kept(self, ctx, given):
        return given

    def secret(self, ctx, given):
        return ctx.token

    def path(self, job):
        return os.path.join(self.options.shelf_folder, job.input['file'])

    def open(self, job):
        job.check()
        try:
            found = os.open(self.path(job), os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise self.trouble(job, error) from error
        if not os.fstat(found).st_size and not self.comes(found):
            os.close(found)
            raise errors.SourceUnavailable(reason='nothing comes')
        return self.content(job, self.pieces(job, os.fdopen(found, 'rb', buffering=0)))

    def comes(self, found):
        """A file is complete; a FIFO has the time limit to say something."""
        if os.path.isfile(f'/proc/self/fd/{found}'):
            return True
        return bool(select.select([found], [], [], self.WAIT_SECONDS)[0])

    def trouble(self, job, error):
        if error.errno == errno.ENOENT:
            return errors.BadSource(reason='there is no such file')
        return errors.SourceUnavailable(reason='the shelf does not answer')

    def content(self, job, pieces):
        return Content(chunks=pieces)

    def pieces(self, job, opened):
        given = 0
        with opened:
            while True:
                self.ask(job)
                piece = opened.read(self.PIECE_BYTES)
                given += len(piece)
                if not piece:
                    return
                self.count(job, given)
                yield piece

    def ask(self, job):
        job.check()

    def count(self, job, given):
        if given > job.max_bytes:
            raise errors.ImageTooLarge(limit=job.max_bytes)


class LooksForTheFile(ShelfMethod):
    """Its check refuses what is not there now."""

    def look_at(self, ctx, method):
        name = method.get('file')
        if isinstance(name, str) and name.isprintable() and name[:100] == 'missing':
            raise errors.BadSource(reason='file: there is no such file')


class KeepsTheToken(ShelfMethod):
    """Writes the caller's token into the row."""

    def kept(self, ctx, given):
        return {**given, 'token': ctx.token}


class KeepsATuple(ShelfMethod):
    """Keeps what comes back from JSON as something else."""

    def kept(self, ctx, given):
        return {**given, 'parts': (1, 2)}


class StumblesOverNumbers(ShelfMethod):
    """Believes that every value is a text."""

    def look_at(self, ctx, method):
        method.get('file', '').strip()


class NamesNoField(ShelfMethod):
    """Says that something is wrong."""

    def refusal(self, name):
        return errors.Invalid(reason='this is no good')


class RemembersInMemory(ShelfMethod):
    """Knows only in the process of the check where the file is."""

    _known: dict = {}

    def kept(self, ctx, given):
        self._known[given['file']] = True
        return given

    def path(self, job):
        return super().path(job) if job.input['file'] in self._known else '/nowhere'


class GoesOnWhereItWas(ShelfMethod):
    """Opens at the end of what was read before."""

    _read: dict = {}

    def pieces(self, job, opened):
        key = self.path(job)
        opened.seek(self._read.get(key, 0) if job.checks > 2 else 0)
        for piece in super().pieces(job, opened):
            self._read[key] = opened.tell()
            yield piece


class GuessesTheSize(ShelfMethod):
    """Tells a size that is none."""

    def content(self, job, pieces):
        return Content(chunks=pieces, size=0)


class CallsMissingUnavailable(ShelfMethod):
    """Has everybody try again for what is not there."""

    def trouble(self, job, error):
        return errors.SourceUnavailable(reason='there is no such file')


class CallsTroubleBad(ShelfMethod):
    """Gives up for ever what is not there now."""

    def trouble(self, job, error):
        return errors.BadSource(reason='the shelf does not answer')


class RaisesItsOwn(ShelfMethod):
    """Lets an error of the system out of the chunks."""

    def count(self, job, given):
        super().count(job, given)
        if job.input['file'] == 'broken':
            raise OSError('the shelf broke')


class GivesOnePiece(ShelfMethod):
    """Gives everything at once."""

    PIECE_BYTES = 2**30


class GivesEmptyPieces(ShelfMethod):
    """Begins with nothing."""

    def pieces(self, job, opened):
        yield b''
        yield from super().pieces(job, opened)


class ChecksOnce(ShelfMethod):
    """Asks at the beginning whether it is to go on."""

    def ask(self, job):
        """Not again."""


class HidesTheEnd(ShelfMethod):
    """Makes its own of what the check raises."""

    def ask(self, job):
        try:
            job.check()
        except errors.GlanceError as error:
            raise errors.SourceUnavailable(reason='it was cancelled') from error


class LeaksFiles(ShelfMethod):
    """Closes nothing."""

    _open: list = []

    def pieces(self, job, opened):
        self._open.append(os.dup(opened.fileno()))
        yield from super().pieces(job, opened)


class CountsNothing(ShelfMethod):
    """Gives what there is."""

    def count(self, job, given):
        """As much as there is."""


class CountsTheLimitAsTooMuch(ShelfMethod):
    """Refuses the last byte that is allowed."""

    def count(self, job, given):
        super().count(job, given + 1)


class LogsThePassword(ShelfMethod):
    """Says with what it reads."""

    def content(self, job, pieces):
        LOG.debug('reading with %s', self.options.shelf_password)
        return super().content(job, pieces)


class TellsTheToken(ShelfMethod):
    """Says for whom nothing was found."""

    def trouble(self, job, error):
        found = super().trouble(job, error)
        return type(found)(reason=f'{found.facts["reason"]}, with {job.secret}')


class WaitsForEver(ShelfMethod):
    """Waits until the other side says something."""

    def open(self, job):
        path = self.path(job)
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            os.close(os.open(path, os.O_RDONLY))
        return super().open(job)


class FactsOfPython(ShelfMethod):
    """Tells what is no JSON."""

    def facts(self):
        return {'kinds': {'file'}}


class TellsThePassword(ShelfMethod):
    """Tells everybody with what it reads."""

    def facts(self):
        return dict(vars(self.options))
