#!/usr/bin/env python3
"""Reads a Strata log directory, from docs/FORMAT.md alone.

An independent witness of the format: shares no code with the library, takes no
lock, writes nothing. Checks every header, every link between segments, every
frame and every checksum, and prints the records in order. Holds two segments
in memory. Not made for speed.

Exit codes:
  0  sound; a torn end, which no crash can avoid, is told on stderr
  1  damaged: records that were durable cannot be read; those before the
     damage were printed
  2  nothing to read: no log, no permission, a newer version, bad arguments
"""

import argparse
import base64
import json
import os
import re
import stat
import struct
import sys
import zlib

PAGE = 4096
FIRST_POSITION = 2 * PAGE
HEADER = struct.Struct("<8sII16s7QI")
MAGIC = b"STRATALG"
VERSION = 1
RECYCLED, TRUNCATES = 1, 2

PUBLISHED, VOID = 2, 3
SYNC_MARK, SEAL = 0x81, 0x82

KNOWN_FIELDS = 0x1F  # bits of the codec

NAME = re.compile(r"([0-9]{20})-([0-9]{10,})\.log")

INDEX_HEADER = struct.Struct("<8sII16s3QII")
INDEX_VERSION = 1
# Of an index by number, and one by time: what its file's name ends in, its
# magic, its entries.
INDEXES = [(".index", b"STRATAIX", struct.Struct("<II")),
           (".timeindex", b"STRATATX", struct.Struct("<QII"))]
TIME_INTERVALS = 4


class CannotRead(Exception):
    """There is no log, or it is not for this reader."""


class Damaged(Exception):
    """Records that were durable are damaged or missing."""

    def __init__(self, path, position, reason):
        super().__init__(f"{path}: byte {position}: {reason}")


class Undecodable(Exception):
    """A record is whole, and says what this reader does not understand."""


class Header:
    def __init__(self, fields):
        (_, _, self.flags, self.uuid, self.id, self.salt, self.base,
         self.capacity, self.before_id, self.before_end,
         self.before_end_position, _) = fields

    def truncates(self):
        return bool(self.flags & TRUNCATES)

    def is_consistent(self):
        return (self.flags & ~(RECYCLED | TRUNCATES) == 0
                and self.before_end == self.base
                and self.id > self.before_id)


def header_copy(data):
    """A header, or in one word why these bytes are none."""
    if len(data) < HEADER.size or not any(data):
        return "damaged"
    if data[:8] != MAGIC:
        return "foreign"
    fields = HEADER.unpack(data[:HEADER.size])
    if zlib.crc32(data[:HEADER.size - 4]) != fields[-1]:
        return "damaged"
    if fields[1] > VERSION:
        return "newer"
    header = Header(fields)
    if fields[1] != VERSION or not header.is_consistent():
        return "damaged"
    return header


class Segment:
    """A segment file: its name, its header, its length."""

    def __init__(self, directory, name, base, id_):
        self.name, self.path = name, os.path.join(directory, name)
        if not stat.S_ISREG(os.lstat(self.path).st_mode):
            raise CannotRead(f"{self.path}: not a regular file")
        with open(self.path, "rb") as file:
            copies = [header_copy(file.read(HEADER.size))]
            file.seek(PAGE)
            copies.append(header_copy(file.read(HEADER.size)))
            self.file_bytes = file.seek(0, os.SEEK_END)
        whole = [copy for copy in copies if isinstance(copy, Header)]
        if not whole:
            self.refuse(copies)
        self.header = whole[0]
        if (self.header.base, self.header.id) != (base, id_):
            raise CannotRead(f"{self.path}: name and header disagree")

    def refuse(self, copies):
        if "newer" in copies:
            raise CannotRead(f"{self.path}: a newer version wrote it")
        if copies == ["foreign", "foreign"]:
            raise CannotRead(f"{self.path}: not a segment")
        raise Damaged(self.path, 0, "both headers are damaged (case F)")

    def bytes_to(self, limit):
        with open(self.path, "rb") as file:
            return file.read(min(limit, self.file_bytes))


class Frame:
    def __init__(self, w0, payload):
        self.payload = payload
        self.state = w0 >> 28 & 3
        self.begins, self.ends = bool(w0 >> 30 & 1), bool(w0 >> 31 & 1)
        self.kind = w0 >> 32 & 0xFF
        self.is_numbered = self.kind < 0x80
        self.len_bytes = 16 + -(-len(payload) // 8) * 8

    def is_known(self):
        if self.is_numbered:
            return self.state == PUBLISHED or self.state == VOID and self.kind == 0
        is_unnumbered = self.kind in (SYNC_MARK, SEAL)
        return is_unnumbered and self.state == PUBLISHED and len(self.payload) == 8

    def said_end(self):
        """What a mark or a seal says."""
        return struct.unpack("<Q", self.payload)[0]


def has_frame_begun(data, position, salt):
    """Whether w0 at `position` is one of this segment, whole frame or not."""
    if position + 8 > len(data):
        return False
    w0, = struct.unpack_from("<Q", data, position)
    return w0 >> 28 & 3 != 0 and w0 >> 40 == salt & 0xFFFFFF


def frame_at(data, position, header, lsn):
    """The frame at `position`; None if there is no whole one.

    `lsn` is the number that it must carry; None takes it from the frame, for a
    search.
    """
    if position + 16 > len(data) or not has_frame_begun(data, position, header.salt):
        return None
    w0, crc, lsn_low = struct.unpack_from("<QII", data, position)
    length = w0 & 0xFFFFFFF
    padded_end = position + 16 + -(-length // 8) * 8
    if padded_end > len(data):
        return None
    if lsn is None:
        lsn = header.base + ((lsn_low - header.base) & 0xFFFFFFFF)
    covered = struct.pack("<QQQQ", header.salt, position, w0, lsn)
    expected = zlib.crc32(data[position + 16:padded_end], zlib.crc32(covered))
    frame = Frame(w0, data[position + 16:position + 16 + length])
    if lsn_low != lsn & 0xFFFFFFFF or crc != expected or not frame.is_known():
        return None
    return frame


class Walk:
    """The whole frames at the front of a segment: all of them if a successor
    says how far they go, else up to the last that ends a batch."""

    def __init__(self, data, header, has_successor):
        self.end, self.end_position = header.base, FIRST_POSITION
        self.records, self.marks, self.is_sealed = [], 0, False
        self.places = []  # of each number: the number, its position, its frame
        lsn, position, in_batch, batch = header.base, FIRST_POSITION, False, []
        while frame := frame_at(data, position, header, lsn):
            if frame.kind == SEAL:
                self.is_sealed = not in_batch and frame.said_end() == lsn
                break
            if frame.is_numbered:
                if frame.begins == in_batch:
                    break
                in_batch = not frame.ends
                self.places.append((lsn, position, frame))
                if frame.state == PUBLISHED:
                    batch.append((lsn, frame.kind, frame.payload))
            else:
                self.marks += 1
            position += frame.len_bytes
            lsn += frame.is_numbered
            if has_successor or not in_batch:
                self.records += batch
                batch = []
                self.end, self.end_position = lsn, position


def search(data, header, position):
    """Looks for frames behind `position`: whether there is one, and the
    greatest end that a mark or seal among them says, or 0."""
    is_found, claim = False, 0
    used_bytes = len(data.rstrip(b"\0"))  # a frame is not all zeros
    while position < used_bytes:
        frame = frame_at(data, position, header, None)
        is_found |= frame is not None
        if frame and frame.kind in (SYNC_MARK, SEAL):
            claim = max(claim, frame.said_end())
        position += frame.len_bytes if frame else 8
    return is_found, claim


def list_segments(directory):
    """Every segment that counts, ascending, each tied to the one before."""
    try:
        names = os.listdir(directory)
    except OSError as error:
        raise CannotRead(f"{directory}: {error.strerror}") from error
    found = []
    for name in names:
        match = NAME.fullmatch(name)
        if match:
            base, id_ = map(int, match.groups())
            if name == f"{base:020}-{id_:010}.log":
                found.append((id_, base, name))
    if not found:
        raise CannotRead(f"{directory}: no log here")
    segments = []
    for id_, base, name in sorted(found):
        segment = Segment(directory, name, base, id_)
        if segment.header.truncates():
            segments = [kept for kept in segments if kept.header.id <= segment.header.before_id]
        segments.append(segment)
    for before, segment in zip(segments, segments[1:]):
        check_tie(before, segment)
    return segments


def check_tie(before, segment):
    if segment.header.uuid != before.header.uuid:
        raise CannotRead(f"{segment.path}: it belongs to another log")
    if (segment.header.before_id != before.header.id
            or segment.header.before_end < before.header.base):
        raise Damaged(segment.path, 0, f"it follows segment {segment.header.before_id}, "
                      f"not {before.header.id} (case K)")


def read_older(segment, successor, may_lack_seal):
    """The walk through a segment that has a successor."""
    end, limit = successor.header.before_end, successor.header.before_end_position
    data = segment.bytes_to(limit + 24)
    seal = frame_at(data, limit, segment.header, end) if limit % 8 == 0 else None
    is_sealed = bool(seal and seal.kind == SEAL and seal.said_end() == end)
    walk = Walk(data[:limit], segment.header, has_successor=True)
    is_whole = (walk.end, walk.end_position) == (end, limit)
    if is_whole and (is_sealed or may_lack_seal):
        return walk, None
    if is_whole:
        return walk, Damaged(segment.path, limit, "its seal is damaged (case H)")
    case = "J" if is_sealed or successor.header.truncates() else "I"
    return walk, Damaged(segment.path, walk.end_position,
                         f"from record {walk.end}: the bytes are not what was written, and "
                         f"the next segment says that it reaches to {end} (case {case})")


def read_newest(segment, warn):
    """The walk through the newest segment, and whether it has frames at all,
    whole or not."""
    header = segment.header
    data = segment.bytes_to(header.capacity)
    data = data[:len(data) // 8 * 8]
    walk = Walk(data, header, has_successor=False)
    if walk.is_sealed:
        return walk, True, Damaged(
            segment.path, walk.end_position,
            "it is sealed, so there must be a later segment, and that is missing (case E)")
    has_frames_behind, claim = search(data, header, walk.end_position)
    if claim > walk.end:
        return walk, True, Damaged(
            segment.path, walk.end_position,
            f"from record {walk.end}: a mark behind this place says that records below "
            f"{claim} were durable (case D)")
    if header.flags & RECYCLED:
        has_debris = has_frames_behind or has_frame_begun(data, walk.end_position, header.salt)
    else:
        has_debris = any(data[walk.end_position:])
    if has_debris or segment.file_bytes < header.capacity:
        warn(f"{segment.path}: torn at byte {walk.end_position}: the log ends before record "
             f"{walk.end}; what lies behind was never proven durable (case C)")
    return walk, has_debris or walk.end_position > FIRST_POSITION, None


def read(segments, warn):
    """Yields (segment, walk) in order; raises Damaged behind the last good record."""
    *older, newest = segments
    newest_walk, is_newest_used, newest_damage = read_newest(newest, warn)
    for segment, successor in zip(older, segments[1:]):
        may_lack_seal = successor.header.truncates() or (
            successor is newest and not is_newest_used)
        walk, damage = read_older(segment, successor, may_lack_seal)
        yield segment, walk
        if damage:
            raise damage
    yield newest, newest_walk
    if newest_damage:
        raise newest_damage


def index_entries(places, interval):
    """What the index by number of a segment has to say."""
    entries, due = [], 0
    for lsn, position, _ in places:
        if position >= due:
            entries.append((lsn, position))
            due = position + interval
    return entries


def time_index_entries(places, interval, end):
    """What its index by time has to say; `end` is where the segment ends."""
    entries, due, greatest = [], 0, None

    def note(place):
        if entries and entries[-1][0] == greatest:
            entries.pop()
        entries.append((greatest, *place))

    for lsn, position, frame in places:
        if position >= due and greatest is not None:
            note((lsn, position))
            due = position + TIME_INTERVALS * interval
        timestamp = timestamp_in(frame)
        if timestamp is not None:
            greatest = timestamp if greatest is None else max(greatest, timestamp)
    if greatest is not None:
        note(end)
    return entries


def timestamp_in(frame):
    """The timestamp of a record, whether its other fields make sense or not."""
    has_one = frame.state == PUBLISHED and frame.kind & 1 and not frame.kind & ~KNOWN_FIELDS
    if not has_one or len(frame.payload) < 8:
        return None
    return struct.unpack_from("<Q", frame.payload)[0]


def read_index(path, magic, entry, segment, walk):
    """The entries of an index file, and why it is not to be used, or None."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < INDEX_HEADER.size:
        return [], "short"
    found_magic, version, interval, *identity, count, crc = INDEX_HEADER.unpack_from(data)
    header = segment.header
    if found_magic != magic or identity[:2] != [header.uuid, header.id]:
        return [], "foreign"
    if version > INDEX_VERSION:
        return [], "newer"
    if len(data) != INDEX_HEADER.size + count * entry.size:
        return [], "short or too long"
    if version != INDEX_VERSION or zlib.crc32(data[64:], zlib.crc32(data[:60])) != crc:
        return [], "damaged"
    if identity[2:] != [header.salt, header.base]:
        return [], "stale"
    entries = [(*time, ahead + header.base, units * 8)
               for *time, ahead, units in entry.iter_unpack(data[INDEX_HEADER.size:])]
    if entry.size == 8:
        expected = index_entries(walk.places, interval)
    else:
        expected = time_index_entries(walk.places, interval, (walk.end, walk.end_position))
    return entries, None if entries == expected else "contradicts its segment"


def as_indexes(segment, walk):
    """A line for each index file of a segment."""
    for suffix, magic, entry in INDEXES:
        path = segment.path.removesuffix(".log") + suffix
        if os.path.lexists(path):
            entries, fault = read_index(path, magic, entry, segment, walk)
            yield json.dumps({"file": os.path.basename(path), "sound": fault is None,
                              "fault": fault, "entries": entries})


def as_json(lsn, codec, payload):
    return json.dumps({"lsn": lsn, "codec": codec, "payload_hex": payload.hex()})


def as_text(lsn, codec, payload):
    shown = base64.b64encode(payload).decode() if payload else "-"
    return f"{lsn} {codec} {len(payload)} {shown}"


class Fields:
    """The fields of a record in front of its payload."""

    def __init__(self, codec, record):
        self.record, self.position = record, 0
        self.timestamp = self.key = None
        self.schema_version, self.batch_count, self.headers = 0, 1, []
        if codec & ~KNOWN_FIELDS:
            raise Undecodable("its codec names fields that are not in this version")
        if codec & 1:
            self.timestamp, = struct.unpack("<Q", self.take(8))
        if codec & 2:
            self.schema_version = self.varint_but(0)
        if codec & 4:
            self.batch_count = self.varint_but(1)
        if codec & 8:
            self.key = self.framed()
        if codec & 16:
            for _ in range(self.varint_but(0)):
                name = self.name()
                self.headers.append((name, self.framed()))
        self.payload = record[self.position:]

    def take(self, length):
        taken = self.record[self.position:self.position + length]
        if len(taken) < length:
            raise Undecodable("a field goes beyond the record")
        self.position += length
        return taken

    def varint(self):
        value = shift = 0
        while True:
            byte, = self.take(1)
            value |= (byte & 0x7F) << shift
            if value >= 1 << 32 or (byte == 0 and shift > 0):
                raise Undecodable("a number is not written in its one way")
            if byte < 0x80:
                return value
            shift += 7

    def varint_but(self, none):
        value = self.varint()
        if value == none:
            raise Undecodable("a value that is as good as none")
        return value

    def framed(self):
        return self.take(self.varint())

    def name(self):
        try:
            return self.framed().decode()
        except UnicodeDecodeError as error:
            raise Undecodable("a header's name is not UTF-8") from error

    def as_json(self, lsn):
        return json.dumps({
            "lsn": lsn,
            "timestamp": self.timestamp,
            "schema_version": self.schema_version,
            "batch_count": self.batch_count,
            "key_hex": None if self.key is None else self.key.hex(),
            "headers": [[name, value.hex()] for name, value in self.headers],
            "payload_hex": self.payload.hex(),
        })


def as_fields(lsn, codec, record):
    try:
        return Fields(codec, record).as_json(lsn)
    except Undecodable as reason:
        return json.dumps({"lsn": lsn, "codec": codec, "undecodable": str(reason)})


def main():
    parser = argparse.ArgumentParser(
        description="Reads a Strata log, checking everything; see docs/FORMAT.md.",
        epilog="exit codes: 0 sound, 1 damaged, 2 nothing to read")
    parser.add_argument("directory", help="the log's directory")
    parser.add_argument("--json", action="store_true",
                        help='one object a line: {"lsn": 0, "codec": 0, "payload_hex": "6869"}; '
                        "without it: lsn, codec, length and payload in base64")
    parser.add_argument("--fields", action="store_true",
                        help="one object a line, the record's envelope taken apart")
    parser.add_argument("--segments", action="store_true",
                        help="list the segments instead of the records")
    parser.add_argument("--indexes", action="store_true",
                        help="one object a line for each index file, held against its segment; "
                        "an index that is not sound is no damage")
    arguments = parser.parse_args()

    def warn(message):
        print(message, file=sys.stderr)

    show = as_fields if arguments.fields else as_json if arguments.json else as_text
    try:
        for segment, walk in read(list_segments(arguments.directory), warn):
            if arguments.indexes:
                for line in as_indexes(segment, walk):
                    print(line)
                continue
            if arguments.segments:
                print(f"{segment.name}: records {walk.end - segment.header.base}, "
                      f"marks {walk.marks}, frames end at byte {walk.end_position}")
                continue
            for lsn, codec, payload in walk.records:
                print(show(lsn, codec, payload))
    except Damaged as damage:
        warn(damage)
        return 1
    except (CannotRead, OSError) as error:
        warn(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
