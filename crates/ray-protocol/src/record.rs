//! Ring records: what travels through shared memory between a submitter and a worker, one record per task and per result.
//!
//! Layout, little-endian, no padding rules beyond what is written here:
//!
//! ```text
//! task     kind=1 u8 · flags u8 · 0 u16 · attempt u32 · seq u64 · function u64 · returns u32 · arguments u32 · body
//!   body   arguments × { tag u8 · … } then, with HAS_REFS, count u32 × object 16
//!          tag INLINE: length u32 · bytes     tag REFERENCE: object 16     tag STORED: object 16 · location 32
//! result   kind=2 u8 · flags u8 · 0 u16 · run time µs u32 · seq u64 · first u32 · values u32 · values × { tag u8 · … }
//!          tag INLINE, FAILED: length u32 · bytes     tag STORED: location 32     HAS_REFS set in a tag: the value contains references
//! returned kind=3 u8 · 0 × 7 · seq u64                         a task that was not started, given back
//! function kind=4 u8 · 0 × 7 · function u64 · blob
//! recall   kind=5 u8 · 0 × 7                                   give back what you have not started
//! cancel   kind=6 u8 · flags u8 · 0 × 6 · seq u64
//! devices  kind=12 u8 · 0 × 7 · count u32 · count × u32        the GPUs of tasks that hold some, from here on in this ring
//! part     kind=7 u8 · flags u8 · 0 × 6 · bytes              a piece of a record too long for the ring; with MORE, another follows
//! consumed kind=8 u8 · 0 × 7 · seq u64 · items u64           so many items of a stream were taken; all bits set: nobody wants any more
//! object   client u32 · seq u64 · index u32        location  node u32 · segment writer u32 · segment number u32 · 0 u32 · offset u64 · size u64
//! ```
//!
//! A task with STREAM has any number of results, one by one. Result 0 is how it ends, sent last and alone; the items are results 1, 2, …,
//! sent with MORE. Its `returns` says how many of them had arrived before this attempt: these are not sent again.
//!
//! In the submitter's queue a body may hold REFERENCE arguments whose values do not exist yet; before the task is pushed they are
//! replaced by INLINE or STORED ones ([`resolve_body`]), so a worker never has to look for an argument on its own node.

use crate::ids::{ClientId, FunctionId, NodeId, ObjectId, SegmentId, TaskId};
use crate::value::{Bytes, Location, Value};

/// Kinds of records.
pub mod kind {
    #![allow(missing_docs)]
    pub const TASK: u8 = 1;
    pub const RESULT: u8 = 2;
    pub const RETURNED: u8 = 3;
    pub const FUNCTION: u8 = 4;
    pub const RECALL: u8 = 5;
    pub const CANCEL: u8 = 6;
    pub const PART: u8 = 7;
    pub const CONSUMED: u8 = 8;
    pub const DEVICES: u8 = 12;
}

/// Tags of arguments and values.
pub mod tag {
    #![allow(missing_docs)]
    pub const INLINE: u8 = 0;
    pub const REFERENCE: u8 = 1;
    pub const STORED: u8 = 2;
    pub const FAILED: u8 = 3;
    /// Set in a result's tag: references are inside the value.
    pub const HAS_REFS: u8 = 0x80;
}

/// Flags of records.
pub mod flag {
    /// The last argument is a tuple of names; as many arguments before it are keyword arguments.
    pub const KEYWORDS: u8 = 1;
    /// Ids of references nested in arguments follow the arguments.
    pub const HAS_REFS: u8 = 2;
    /// An argument is a reference of unknown type: the worker must check the types.
    pub const CHECK: u8 = 4;
    /// Of a result or a part: more follows in another record.
    pub const MORE: u8 = 8;
    /// Of a task: its results are a stream.
    pub const STREAM: u8 = 8;
    /// A call of an actor's method; the function id is the method's.
    pub const ACTOR_CALL: u8 = 16;
    /// The first argument is not for the callable: [`CallOptions`](crate::CallOptions) for the worker.
    pub const OPTIONS: u8 = 32;
    /// Cancel: kill if it runs.
    pub const FORCE: u8 = 64;
    /// Cancel: children too.
    pub const RECURSIVE: u8 = 128;
    /// Result: a failure after which the task asks to be tried again.
    pub const RETRY: u8 = 1;
    /// Result: the worker ends after this task; what was sent behind it was not started.
    pub const LAST: u8 = 2;
}

/// Bytes of a task record before its body.
pub const TASK_HEADER_BYTES: usize = 32;
/// Bytes of a location.
pub const LOCATION_BYTES: usize = 32;
/// Bytes of an object id.
pub const OBJECT_BYTES: usize = 16;

/// A record that breaks the layout: its sender is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed record: {0}")]
pub struct RecordError(pub &'static str);

/// The fixed part of a task record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TaskHeader {
    /// See [`flag`].
    pub flags: u8,
    /// 0 for the first execution.
    pub attempt: u32,
    /// The submitter's number of the task.
    pub seq: u64,
    /// What to run.
    pub function: FunctionId,
    /// How many results; of a stream, how many items have arrived already.
    pub returns: u32,
    /// How many arguments the body has.
    pub arguments: u32,
}

impl TaskHeader {
    /// Whether its results are a stream.
    #[inline]
    pub fn is_stream(&self) -> bool {
        self.flags & flag::STREAM != 0
    }

    /// How many results say that it failed, when it does.
    pub fn failures(&self) -> u32 {
        if self.is_stream() { 1 } else { self.returns }
    }

    /// The header's bytes, to push in front of the body.
    #[inline]
    pub fn encode(&self) -> [u8; TASK_HEADER_BYTES] {
        let mut out = [0; TASK_HEADER_BYTES];
        out[0] = kind::TASK;
        out[1] = self.flags;
        out[4..8].copy_from_slice(&self.attempt.to_le_bytes());
        out[8..16].copy_from_slice(&self.seq.to_le_bytes());
        out[16..24].copy_from_slice(&self.function.0.to_le_bytes());
        out[24..28].copy_from_slice(&self.returns.to_le_bytes());
        out[28..32].copy_from_slice(&self.arguments.to_le_bytes());
        out
    }
}

/// A record, read.
#[derive(Clone, PartialEq, Debug)]
pub enum Record<'a> {
    /// Run this.
    Task(TaskHeader, &'a [u8]),
    /// Results `first..` of a task.
    Result {
        /// The submitter's number of the task.
        seq: u64,
        /// Index of the first value here.
        first: u32,
        /// Whether more values of this task follow.
        more: bool,
        /// See [`flag::RETRY`].
        retry: bool,
        /// See [`flag::LAST`].
        last: bool,
        /// How long the task ran.
        run_time_us: u32,
        /// The values.
        values: ResultValues<'a>,
    },
    /// A task that was not started.
    Returned {
        /// The submitter's number of the task.
        seq: u64,
    },
    /// A function's definition, sent before its first task on a channel.
    Function(FunctionId, &'a [u8]),
    /// Give back what has not started.
    Recall,
    /// Stop a task.
    Cancel {
        /// The submitter's number of the task.
        seq: u64,
        /// Kill.
        force: bool,
        /// Children too.
        recursive: bool,
    },
    /// A piece of a longer record, and whether another follows.
    Part(&'a [u8], bool),
    /// Items of a stream were taken.
    Consumed {
        /// The submitter's number of the task.
        seq: u64,
        /// How many in all, or [`NOBODY_WANTS_MORE`].
        items: u64,
    },
    /// The GPUs of tasks that hold some, from here on in this ring.
    Devices(Vec<u32>),
}

/// Of a [`Record::Consumed`]: the stream was dropped.
pub const NOBODY_WANTS_MORE: u64 = u64::MAX;

/// Reads one record.
pub fn read(bytes: &[u8]) -> Result<Record<'_>, RecordError> {
    let mut reader = Reader(bytes);
    let kind = reader.u8()?;
    let flags = reader.u8()?;
    reader.take(2)?;
    let word = reader.u32()?;
    match kind {
        kind::TASK => {
            let seq = reader.u64()?;
            let function = FunctionId(reader.u64()?);
            let returns = reader.u32()?;
            let arguments = reader.u32()?;
            Ok(Record::Task(TaskHeader { flags, attempt: word, seq, function, returns, arguments }, reader.0))
        }
        kind::RESULT => {
            let seq = reader.u64()?;
            let first = reader.u32()?;
            let count = reader.u32()?;
            let (more, retry, last) = (flags & flag::MORE != 0, flags & flag::RETRY != 0, flags & flag::LAST != 0);
            Ok(Record::Result { seq, first, more, retry, last, run_time_us: word, values: ResultValues { count, reader } })
        }
        kind::RETURNED => Ok(Record::Returned { seq: reader.u64()? }),
        kind::FUNCTION => {
            let function = FunctionId(reader.u64()?);
            Ok(Record::Function(function, reader.0))
        }
        kind::RECALL => Ok(Record::Recall),
        kind::CANCEL => {
            Ok(Record::Cancel { seq: reader.u64()?, force: flags & flag::FORCE != 0, recursive: flags & flag::RECURSIVE != 0 })
        }
        kind::PART => Ok(Record::Part(reader.0, flags & flag::MORE != 0)),
        kind::CONSUMED => Ok(Record::Consumed { seq: reader.u64()?, items: reader.u64()? }),
        kind::DEVICES => {
            let count = reader.u32()? as usize;
            if count > reader.0.len() / 4 {
                return Err(RecordError("more devices than bytes"));
            }
            Ok(Record::Devices((0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?))
        }
        _ => Err(RecordError("unknown kind")),
    }
}

/// The values of a result record, read one by one.
#[derive(Clone, PartialEq, Debug)]
pub struct ResultValues<'a> {
    count: u32,
    reader: Reader<'a>,
}

impl ResultValues<'_> {
    /// How many values the record claims to have left.
    pub fn remaining(&self) -> u32 {
        self.count
    }

    /// The next value and whether it contains references.
    pub fn next_value(&mut self) -> Option<Result<(Value, bool), RecordError>> {
        self.count = self.count.checked_sub(1)?;
        Some(self.read_value())
    }

    fn read_value(&mut self) -> Result<(Value, bool), RecordError> {
        let byte = self.reader.u8()?;
        let value = match byte & !tag::HAS_REFS {
            tag::INLINE => Value::Inline(Bytes::from_slice(self.reader.bytes()?)),
            tag::FAILED => Value::Failed(self.reader.bytes()?.into()),
            tag::STORED => Value::Stored(self.reader.location()?),
            _ => return Err(RecordError("unknown value tag")),
        };
        Ok((value, byte & tag::HAS_REFS != 0))
    }
}

/// Writes the fixed part of a result record.
pub fn write_result_header(out: &mut Vec<u8>, seq: u64, first: u32, count: u32, more: bool, run_time_us: u32) {
    out.extend_from_slice(&[kind::RESULT, if more { flag::MORE } else { 0 }, 0, 0]);
    out.extend_from_slice(&run_time_us.to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
}

/// Appends one value of a result.
pub fn write_result_value(out: &mut Vec<u8>, value: &Value, has_refs: bool) {
    let mark = if has_refs { tag::HAS_REFS } else { 0 };
    match value {
        Value::Inline(bytes) => {
            out.push(tag::INLINE | mark);
            write_bytes(out, bytes);
        }
        Value::Failed(bytes) => {
            out.push(tag::FAILED | mark);
            write_bytes(out, bytes);
        }
        Value::Stored(location) => {
            out.push(tag::STORED | mark);
            write_location(out, location);
        }
    }
}

/// Sets flags of a result record that was written, [`flag::RETRY`] or [`flag::LAST`].
pub fn mark_result(record: &mut [u8], flags: u8) {
    record[1] |= flags;
}

/// A `devices` record.
pub fn devices(ids: &[u32]) -> Vec<u8> {
    let mut out = vec![kind::DEVICES, 0, 0, 0, 0, 0, 0, 0];
    out.extend_from_slice(&(ids.len() as u32).to_le_bytes());
    for id in ids {
        out.extend_from_slice(&id.to_le_bytes());
    }
    out
}

/// A `returned` record.
pub fn returned(seq: u64) -> [u8; 16] {
    word_record(kind::RETURNED, 0, seq)
}

/// A `recall` record.
pub fn recall() -> [u8; 8] {
    [kind::RECALL, 0, 0, 0, 0, 0, 0, 0]
}

/// A `cancel` record.
pub fn cancel(seq: u64, force: bool, recursive: bool) -> [u8; 16] {
    let flags = if force { flag::FORCE } else { 0 } | if recursive { flag::RECURSIVE } else { 0 };
    word_record(kind::CANCEL, flags, seq)
}

/// A `consumed` record.
pub fn consumed(seq: u64, items: u64) -> [u8; 24] {
    let mut out = [0; 24];
    out[..16].copy_from_slice(&word_record(kind::CONSUMED, 0, seq));
    out[16..].copy_from_slice(&items.to_le_bytes());
    out
}

/// The fixed part of a `function` record; the blob follows.
pub fn function_header(function: FunctionId) -> [u8; 16] {
    word_record(kind::FUNCTION, 0, function.0)
}

/// The fixed part of a `part` record; the bytes follow.
pub fn part_header(more: bool) -> [u8; 8] {
    [kind::PART, if more { flag::MORE } else { 0 }, 0, 0, 0, 0, 0, 0]
}

fn word_record(kind: u8, flags: u8, word: u64) -> [u8; 16] {
    let mut out = [0; 16];
    out[0] = kind;
    out[1] = flags;
    out[8..16].copy_from_slice(&word.to_le_bytes());
    out
}

/// What records are written into.
pub trait Sink {
    /// Adds bytes at the end.
    fn append(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for Bytes {
    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Appends an argument by value.
#[inline]
pub fn write_inline_argument(body: &mut impl Sink, bytes: &[u8]) {
    body.append(&[tag::INLINE]);
    write_bytes(body, bytes);
}

/// Appends an argument by reference, to be resolved before the task is pushed.
pub fn write_reference_argument(body: &mut impl Sink, object: ObjectId) {
    body.append(&[tag::REFERENCE]);
    write_object(body, object);
}

/// Appends a length and bytes.
#[inline]
pub fn write_bytes(out: &mut impl Sink, bytes: &[u8]) {
    out.append(&(bytes.len() as u32).to_le_bytes());
    out.append(bytes);
}

/// Appends an object id.
pub fn write_object(out: &mut impl Sink, object: ObjectId) {
    out.append(&object.task.client.0.to_le_bytes());
    out.append(&object.task.seq.to_le_bytes());
    out.append(&object.index.to_le_bytes());
}

/// Appends a location.
pub fn write_location(out: &mut Vec<u8>, location: &Location) {
    out.extend_from_slice(&location.node.0.to_le_bytes());
    out.extend_from_slice(&location.segment.writer.0.to_le_bytes());
    out.extend_from_slice(&location.segment.number.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&location.offset.to_le_bytes());
    out.extend_from_slice(&location.size_bytes.to_le_bytes());
}

/// One argument of a task, read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Argument<'a> {
    /// The serialised value.
    Inline(&'a [u8]),
    /// Not resolved yet; never seen by a worker.
    Reference(ObjectId),
    /// The value of this object, in a store.
    Stored(ObjectId, Location),
}

/// Reads a task's body: its arguments, then the nested references.
#[derive(Clone, Debug)]
pub struct BodyReader<'a> {
    left: u32,
    reader: Reader<'a>,
}

impl<'a> BodyReader<'a> {
    /// A reader of a body with this many arguments.
    pub fn new(body: &'a [u8], arguments: u32) -> Self {
        BodyReader { left: arguments, reader: Reader(body) }
    }

    /// The next argument.
    #[inline]
    pub fn next_argument(&mut self) -> Option<Result<Argument<'a>, RecordError>> {
        self.left = self.left.checked_sub(1)?;
        Some(self.read_argument())
    }

    fn read_argument(&mut self) -> Result<Argument<'a>, RecordError> {
        match self.reader.u8()? {
            tag::INLINE => Ok(Argument::Inline(self.reader.bytes()?)),
            tag::REFERENCE => Ok(Argument::Reference(self.reader.object()?)),
            tag::STORED => Ok(Argument::Stored(self.reader.object()?, self.reader.location()?)),
            _ => Err(RecordError("unknown argument tag")),
        }
    }

    /// After all arguments of a body with HAS_REFS: the references nested in them.
    pub fn nested(mut self) -> Result<Vec<ObjectId>, RecordError> {
        while let Some(argument) = self.next_argument() {
            argument?;
        }
        let count = self.reader.u32()? as usize;
        if count > self.reader.0.len() / OBJECT_BYTES {
            return Err(RecordError("more references than bytes"));
        }
        (0..count).map(|_| self.reader.object()).collect()
    }
}

/// Writes `body` again with every reference replaced by what `value_of` says it is. The caller has checked that every one exists.
pub fn resolve_body<'v>(
    body: &[u8],
    arguments: u32,
    mut value_of: impl FnMut(ObjectId) -> &'v Value,
) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut reader = BodyReader::new(body, arguments);
    while let Some(argument) = reader.next_argument() {
        match argument? {
            Argument::Inline(bytes) => write_inline_argument(&mut out, bytes),
            Argument::Reference(object) => match value_of(object) {
                Value::Inline(bytes) => write_inline_argument(&mut out, bytes),
                Value::Failed(bytes) => write_inline_argument(&mut out, bytes),
                Value::Stored(location) => write_stored_argument(&mut out, object, location),
            },
            Argument::Stored(object, location) => write_stored_argument(&mut out, object, &location),
        }
    }
    out.extend_from_slice(reader.reader.0);
    Ok(out)
}

fn write_stored_argument(out: &mut Vec<u8>, object: ObjectId, location: &Location) {
    out.push(tag::STORED);
    write_object(out, object);
    write_location(out, location);
}

#[derive(Clone, PartialEq, Debug)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        if count > self.0.len() {
            return Err(RecordError("it ends too early"));
        }
        let (head, tail) = self.0.split_at(count);
        self.0 = tail;
        Ok(head)
    }

    #[inline]
    fn u8(&mut self) -> Result<u8, RecordError> {
        Ok(self.take(1)?[0])
    }

    #[inline]
    fn u32(&mut self) -> Result<u32, RecordError> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("took 4")))
    }

    #[inline]
    fn u64(&mut self) -> Result<u64, RecordError> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("took 8")))
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let count = self.u32()? as usize;
        self.take(count)
    }

    fn object(&mut self) -> Result<ObjectId, RecordError> {
        let client = ClientId(self.u32()?);
        let seq = self.u64()?;
        Ok(ObjectId { task: TaskId { client, seq }, index: self.u32()? })
    }

    fn location(&mut self) -> Result<Location, RecordError> {
        let node = NodeId(self.u32()?);
        let segment = SegmentId { writer: ClientId(self.u32()?), number: self.u32()? };
        self.take(4)?;
        Ok(Location { node, segment, offset: self.u64()?, size_bytes: self.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(seq: u64) -> ObjectId {
        TaskId { client: ClientId(7), seq }.result(1)
    }

    fn location() -> Location {
        let segment = SegmentId { writer: ClientId(3), number: 4 };
        Location { node: NodeId(1), segment, offset: 64, size_bytes: 1 << 40 }
    }

    #[test]
    fn a_task_reads_back_as_written() {
        let mut body = Vec::new();
        write_inline_argument(&mut body, b"one");
        write_reference_argument(&mut body, object(5));
        let header = TaskHeader { flags: 0, attempt: 2, seq: 9, function: FunctionId(11), returns: 1, arguments: 2 };
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(&body);
        assert_eq!(read(&bytes).unwrap(), Record::Task(header, &body));
    }

    #[test]
    fn resolving_replaces_references_and_keeps_the_rest() {
        let mut body = Vec::new();
        write_inline_argument(&mut body, b"one");
        write_reference_argument(&mut body, object(5));
        write_reference_argument(&mut body, object(6));
        body.extend_from_slice(&1u32.to_le_bytes());
        write_object(&mut body, object(8));
        let (five, six) = (Value::Inline(Bytes::from_slice(b"five")), Value::Stored(location()));
        let resolved = resolve_body(&body, 3, |id| if id == object(5) { &five } else { &six }).unwrap();
        let mut reader = BodyReader::new(&resolved, 3);
        assert_eq!(reader.next_argument().unwrap().unwrap(), Argument::Inline(b"one"));
        assert_eq!(reader.next_argument().unwrap().unwrap(), Argument::Inline(b"five"));
        assert_eq!(reader.next_argument().unwrap().unwrap(), Argument::Stored(object(6), location()));
        assert!(reader.next_argument().is_none());
        assert_eq!(reader.nested().unwrap(), [object(8)]);
    }

    #[test]
    fn results_read_back_as_written() {
        let values = [Value::Inline(Bytes::from_slice(b"x")), Value::Stored(location()), Value::Failed(b"no".as_slice().into())];
        let mut bytes = Vec::new();
        write_result_header(&mut bytes, 3, 1, 3, true, 25);
        for value in &values {
            write_result_value(&mut bytes, value, matches!(value, Value::Stored(_)));
        }
        let Record::Result { seq: 3, first: 1, more: true, retry: false, last: false, run_time_us: 25, values: mut read } =
            read(&bytes).unwrap()
        else {
            panic!("not a result")
        };
        for value in values {
            let has_refs = matches!(value, Value::Stored(_));
            assert_eq!(read.next_value().unwrap().unwrap(), (value, has_refs));
        }
        assert!(read.next_value().is_none());
    }

    #[test]
    fn the_word_of_what_was_taken_reads_back_as_written() {
        assert_eq!(read(&consumed(7, 3)).unwrap(), Record::Consumed { seq: 7, items: 3 });
        assert!(read(&consumed(7, 3)[..23]).is_err());
    }

    #[test]
    fn marks_of_results_and_lists_of_devices_read_back_as_written() {
        let mut bytes = Vec::new();
        write_result_header(&mut bytes, 3, 0, 0, false, 25);
        mark_result(&mut bytes, flag::LAST);
        assert!(matches!(read(&bytes), Ok(Record::Result { more: false, retry: false, last: true, .. })));
        mark_result(&mut bytes, flag::RETRY);
        assert!(matches!(read(&bytes), Ok(Record::Result { more: false, retry: true, last: true, .. })));
        assert_eq!(read(&devices(&[3, 0])), Ok(Record::Devices(vec![3, 0])));
        let mut liar = devices(&[3]);
        liar[8] = 200;
        assert!(read(&liar).is_err());
    }

    #[test]
    fn mutated_records_are_errors_and_never_panics() {
        let mut bytes = Vec::new();
        write_result_header(&mut bytes, 3, 0, 2, false, 1);
        write_result_value(&mut bytes, &Value::Inline(Bytes::from_vec(vec![7; 40])), false);
        write_result_value(&mut bytes, &Value::Stored(location()), false);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..100_000 {
            let mut broken = bytes.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % broken.len();
                broken[at] = (state >> 17) as u8;
            }
            broken.truncate((state >> 40) as usize % (bytes.len() + 1));
            match read(&broken) {
                Ok(Record::Task(header, body)) => {
                    let mut reader = BodyReader::new(body, header.arguments);
                    while let Some(Ok(_)) = reader.next_argument() {}
                    let _ = BodyReader::new(body, header.arguments.min(1000)).nested();
                }
                Ok(Record::Result { mut values, .. }) => while let Some(Ok(_)) = values.next_value() {},
                _ => {}
            }
        }
    }
}
