//! Fetches partitions of Kafka topics: from sockets to records that are read in place, without an object for each.
//!
//! A [`Fetcher`] has a thread that knows which broker leads each partition, and one for each of these brokers, which asks
//! it for records ahead of the reader and walks over batches' headers only. What comes waits as [`Chunk`]s, bounded by
//! bytes, until the [`Partition`]'s reader takes it; checksums, codecs and records are the reader's work, so that as many
//! cores do it as there are readers. Only committed records are seen (`isolation.level` `read_committed`).
//!
//! A partition is asked for by its topic's id wherever brokers know ids (Kafka 3.1): one that was deleted and created
//! again answers with an error, never with records of another life. With the leader epoch of what was read last, a
//! broker tells when its log has lost that (KIP-320, KIP-595).
//!
//! Nothing here is durable: positions are the caller's, and a crash leaves nothing behind.
//!
//! Owns: what is public.
//! Never: knows a row.

mod batch;
mod broker;
mod connection;
mod feed;
mod fetcher;
mod leaders;
pub mod settings;

pub use kafka_protocol::error::ResponseError;

pub use self::batch::{Batch, Chunk, Damaged, Place, Record};
pub use self::feed::{Assigned, Standing, Trouble, Wake};
pub use self::fetcher::{Fetcher, Partition};
