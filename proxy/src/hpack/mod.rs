//! How HTTP/2 writes header fields (RFC 7541).
//!
//! What is read may use all of it. What is written refers to the static table alone: a table of our own per connection would
//! cost more time than it saves bytes, and would hold what one request said for the next.

pub(crate) mod decode;
pub(crate) mod encode;
mod huffman;
mod integer;
mod table;

pub(crate) use decode::Decoder;
