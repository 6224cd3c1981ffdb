//! The durable state of one mirror in SQLite: the two trees, the jobs between them, the retry columns.
