//! How many names servers list at most. A listing that has just as many may have been cut without a word.

/// A number of names at which a server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// So many lines at most.
    pub lines: usize,
    /// `.` and `..` may be among them.
    pub counts_dots: bool,
    /// How that is known.
    pub source: &'static str,
}

/// The caps that are known.
pub const CAPS: &[Cap] = &[
    Cap {
        lines: 10_000,
        counts_dots: true,
        source: "Pure-FTPd 1.0.50, measured: LIST, MLSD and STAT alike; LIST and MLSD say so, STAT does not. \
                 `LimitRecursion 10000 8` in the pure-ftpd.conf that it comes with",
    },
    Cap {
        lines: 2_000,
        counts_dots: true,
        source: "Pure-FTPd's manual, pure-ftpd(8): `-L max files:max depth ... Defaults are 2000:5`",
    },
    Cap {
        lines: 1_000,
        counts_dots: false,
        source: "gateways to object stores: one page of S3's ListObjectsV2 has up to 1,000 keys, \
                 https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html",
    },
];

/// Whether a listing of so many names is just as long as some server lets it become.
pub fn is_suspicious(names: usize) -> bool {
    CAPS.iter().any(|cap| {
        let fewest = if cap.counts_dots { cap.lines - 2 } else { cap.lines };
        (fewest..=cap.lines).contains(&names)
    })
}
