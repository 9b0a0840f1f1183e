"""Archive writers for a flat package: cpio (POSIX.1-1988, "odc") for payload and scripts, and xar around everything. The same
files give the same bytes.
"""

import gzip
import hashlib
import stat
import zlib
from xml.sax.saxutils import escape

from product import commit_time

ODC_LARGEST = 0o77777777777


def entries(folder, prefix="."):
    """Lists a folder's content as [(name in the package, path)], parents first, in a fixed order; the folder itself is `prefix`."""
    found = [(prefix, folder)]
    for path in sorted(folder.rglob("*")):
        found.append((f"{prefix}/{path.relative_to(folder).as_posix()}", path))
    return found


def mode(path):
    """Returns the file mode on the Mac: readable by everybody, writable by the owner."""
    kind = stat.S_IFDIR if path.is_dir() else stat.S_IFREG
    return kind | (0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


def cpio_gz(found):
    body = b"".join(member(name, path, number) for number, (name, path) in enumerate(found, 1))
    body += header("TRAILER!!!", 0, 0, 1, 0) + b"TRAILER!!!\0"
    return gzip.compress(body, mtime=0)


def member(name, path, number):
    if path.is_symlink():
        raise ValueError(f"{path} is a symbolic link, which this package does not support")
    data = b"" if path.is_dir() else path.read_bytes()
    links = 2 if path.is_dir() else 1
    return header(name, mode(path), number, links, len(data)) + name.encode() + b"\0" + data


def header(name, mode, inode, links, size):
    """Returns a cpio header. Fields as octal text: dev, ino, mode, uid, gid, nlink, rdev, mtime, namesize, filesize."""
    if size > ODC_LARGEST:
        raise ValueError(f"{name} is too large for the cpio format odc")
    time = commit_time()
    return (
        f"070707{0:06o}{inode:06o}{mode:06o}{0:06o}{0:06o}{links:06o}{0:06o}{time:011o}{len(name.encode()) + 1:06o}{size:011o}"
    ).encode()


def xar(files):
    """Writes a xar archive of files: {name: bytes or a dict of the same}.

    Layout: header, compressed table of contents, its SHA-1, then the data, stored without further compression because payloads
    are compressed already. Every version of macOS reads SHA-1, and the signature covers it."""
    heap, parts, counter = 20, [], 0

    def element(name, content, indent):
        nonlocal heap, counter
        counter += 1
        opening = f'{indent}<file id="{counter}">\n{indent} <name>{escape(name)}</name>\n'
        if isinstance(content, dict):
            inner = "".join(element(*item, indent + " ") for item in content.items())
            return f"{opening}{indent} <type>directory</type>\n{indent} <mode>0755</mode>\n{inner}{indent}</file>\n"
        parts.append(content)
        digest = hashlib.sha1(content).hexdigest()
        data = (
            f'<data><length>{len(content)}</length><offset>{heap}</offset><size>{len(content)}</size>'
            f'<encoding style="application/octet-stream"/><extracted-checksum style="sha1">{digest}</extracted-checksum>'
            f'<archived-checksum style="sha1">{digest}</archived-checksum></data>'
        )
        heap += len(content)
        return f"{opening}{indent} <type>file</type>\n{indent} <mode>0644</mode>\n{indent} {data}\n{indent}</file>\n"

    listed = "".join(element(*item, "  ") for item in files.items())
    toc = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<xar>\n <toc>\n'
        '  <checksum style="sha1"><offset>0</offset><size>20</size></checksum>\n'
        f"  <creation-time>1970-01-01T00:00:00</creation-time>\n{listed} </toc>\n</xar>\n"
    ).encode()
    packed = zlib.compress(toc, 9)
    # Fields: magic, size of this header, version, compressed and full length of the table, 1 for SHA-1.
    head = b"xar!" + (28).to_bytes(2, "big") + (1).to_bytes(2, "big") + len(packed).to_bytes(8, "big") + len(toc).to_bytes(8, "big")
    return head + (1).to_bytes(4, "big") + packed + hashlib.sha1(packed).digest() + b"".join(parts)
