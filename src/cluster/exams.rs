//! The frozen exam projections: views of a member for hashing, in the byte formats that other languages
//! share. Not to be mixed up with the snapshots that replicas install. Offsets are in `docs/formats.md`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Member, Policies};
use crate::codec::from_bytes;
use crate::kv::{BTreeEngine, Command, KeyRange, Op, Range, Rules, Store};
use crate::raft::{Bytes, NodeId, Payload};

/// A member whose store may run under other rules than those that ship.
type MemberOf<K, P> = Member<Store<BTreeEngine, K>, P>;

const STRING_MAGIC: &[u8; 8] = b"DSEDKV20";
const INTEGER_MAGIC: &[u8; 8] = b"DSEDIST2";
const PUT: u8 = 0;
const DEL: u8 = 1;

/// The five-replica system: commit index, term, and the live keys ascending by bytes.
///
/// # Errors
/// The member is down, or its engine failed.
pub fn string_snapshot<P: Policies, K: Rules>(member: &MemberOf<K, P>) -> Result<Vec<u8>, String> {
    let node = member.replica().ok_or("a member that is down has no snapshot")?.node();
    let live = live_keys(member)?;
    let mut out = Vec::new();
    out.extend_from_slice(STRING_MAGIC);
    out.extend_from_slice(&node.commit_index().0.to_le_bytes());
    out.extend_from_slice(&node.term().0.to_le_bytes());
    out.extend_from_slice(&count(live.len())?);
    for (key, value) in live {
        out.extend_from_slice(&count(key.len())?);
        out.extend_from_slice(&key);
        out.extend_from_slice(&count(value.len())?);
        out.extend_from_slice(&value);
    }
    Ok(out)
}

/// The three-node system: id, term, commit index, the whole log, and the live keys ascending as signed
/// integers.
///
/// # Errors
/// The member is down, its log was compacted, or an entry is none of this system's operations.
pub fn integer_snapshot<P: Policies, K: Rules>(
    id: NodeId,
    member: &MemberOf<K, P>,
) -> Result<Vec<u8>, String> {
    let node = member.replica().ok_or("a member that is down has no snapshot")?.node();
    if node.log().purged().index.0 > 0 {
        return Err("the log was compacted, and this format holds all of it".to_string());
    }
    let mut out = Vec::new();
    out.extend_from_slice(INTEGER_MAGIC);
    out.push(u8::try_from(id.0).map_err(|_| "node ids are one byte in this format")?);
    out.extend_from_slice(&node.term().0.to_le_bytes());
    out.extend_from_slice(&node.commit_index().0.to_le_bytes());
    out.extend_from_slice(&count(node.log().entries().len())?);
    for entry in node.log().entries() {
        let Payload::Command(command) = &entry.payload else {
            return Err(format!("entry {} is no operation", entry.id));
        };
        let (kind, key, value) =
            operation(command).ok_or_else(|| format!("entry {} is no operation", entry.id))?;
        out.extend_from_slice(&entry.id.term.0.to_le_bytes());
        out.extend_from_slice(&entry.id.index.0.to_le_bytes());
        out.push(kind);
        out.extend_from_slice(&key.to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
    }
    let live = live_keys(member)?;
    out.extend_from_slice(&count(live.len())?);
    for (key, value) in live {
        let (key, value) = (integer_of_key(&key), integer_of_value(&value));
        let (key, value) = key.zip(value).ok_or("a key or value is no integer")?;
        out.extend_from_slice(&key.to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
    }
    Ok(out)
}

/// An integer key of the three-node system as bytes whose order is that of signed integers.
#[must_use]
pub fn integer_key(key: i64) -> Bytes {
    Bytes::from(&(key.cast_unsigned() ^ SIGN).to_be_bytes()[..])
}

const SIGN: u64 = 1 << 63;

fn integer_of_key(key: &[u8]) -> Option<i64> {
    Some((u64::from_be_bytes(key.try_into().ok()?) ^ SIGN).cast_signed())
}

fn integer_of_value(value: &[u8]) -> Option<i64> {
    Some(i64::from_le_bytes(value.try_into().ok()?))
}

/// Kind, key and value of an entry; a Del stores the value 0.
fn operation(command: &[u8]) -> Option<(u8, i64, i64)> {
    match from_bytes::<Command>(command).ok()?.op {
        Op::Put(put) => Some((PUT, integer_of_key(&put.key)?, integer_of_value(&put.value)?)),
        Op::Del(delete) => match delete.keys {
            KeyRange::One(key) => Some((DEL, integer_of_key(&key)?, 0)),
            _ => None,
        },
        _ => None,
    }
}

fn live_keys<P: Policies, K: Rules>(member: &MemberOf<K, P>) -> Result<Vec<(Bytes, Bytes)>, String> {
    let all = member.machine().range(&Range::new(KeyRange::all())).map_err(|error| error.to_string())?;
    Ok(all.kvs.into_iter().map(|kv| (Bytes::from(kv.key.as_slice()), kv.record.value)).collect())
}

fn count(count: usize) -> Result<[u8; 4], String> {
    Ok(u32::try_from(count).map_err(|_| "this format counts in 32 bits")?.to_le_bytes())
}
