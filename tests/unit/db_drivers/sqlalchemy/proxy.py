"""A TCP proxy in front of a database server that can lose a commit, or the answer to it."""

import contextlib
import socket
import threading

COMMIT = b'COMMIT'  # as PostgreSQL and MySQL clients send it, in clear text


class CommitProxy:
    """Forwards to ``127.0.0.1:port``; listens on ``self.port``.

    :ivar lose: None forwards everything; 'answer' cuts the connection after the server has answered the next commit;
        'commit' cuts it before the server gets the commit. Back to None after it has happened.
    :ivar lost: how often that has happened
    """

    def __init__(self, port: int):
        self._server_port = port
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = self._listener.getsockname()[1]
        self.lose: str | None = None
        self.lost = 0
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def cut(self) -> None:
        """Cut every connection that there is; new ones are taken."""
        for one in self._sockets[1:]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(('127.0.0.1', self._server_port))
            except OSError:
                return
            self._sockets += [client, server]
            for source, sink, check in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._forward, args=(source, sink, check), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        # A thread of its own for each direction. When an answer is to be lost the thread of the other direction
        # must not forward it: the client's socket is shut for writing first.
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if from_client and self.lose and COMMIT in data.upper():
                    how, self.lose = self.lose, None
                    self.lost += 1
                    source.shutdown(socket.SHUT_RDWR)
                    if how == 'commit':
                        break
                    sink.sendall(data)
                    return sink.shutdown(socket.SHUT_WR)  # the server answers, then sees the end
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
