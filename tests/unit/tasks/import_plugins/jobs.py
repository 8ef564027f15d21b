"""Jobs and contents for plugins."""

from glancelike.plugin import HEAD_BYTES, Content, Image, ImportJob


def job_in(folder, *, disk_format='raw', container_format='bare', job_class=ImportJob, **values):
    """A job whose folder is a new one in *folder*."""
    made = folder / f'job-{len(list(folder.iterdir()))}'
    made.mkdir(parents=True)
    image = Image('11111111-2222-4333-8444-555555555555', disk_format=disk_format, container_format=container_format)
    return job_class(image, str(made), **values)


def stream(data, disk_format='raw', container_format='bare', piece_bytes=100_000, **values):
    """The bytes as a stream of pieces."""
    pieces = (data[start:start + piece_bytes] for start in range(0, len(data), piece_bytes))
    return Content(chunks=pieces, head=data[:HEAD_BYTES], disk_format=disk_format, container_format=container_format,
                   **values)


def file(path, data, disk_format='raw', container_format='bare'):
    """The bytes as a file."""
    path.write_bytes(data)
    return Content(path=str(path), size=len(data), head=data[:HEAD_BYTES], disk_format=disk_format,
                   container_format=container_format)
