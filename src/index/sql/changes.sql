-- How many files have another content here than on the server under the same name, and how many of them are empty now.
SELECT count(*), coalesce(sum(o_size = 0), 0) FROM entry INDEXED BY entry_pending
WHERE pending AND o_kind = 'file' AND r_kind = 'file' AND r_size <> 0
    AND (o_size, o_mtime, o_ctime, o_inode) IS NOT (r_size, r_mtime, r_ctime, r_inode)
