-- From now on the observed digest is only what somebody read of the file in this very state. Until now it was noted of a file that was
-- renamed, too, where its content was concluded; by the rename such a file has another ctime than mtime.
UPDATE entry SET o_digest = NULL WHERE o_kind = 'file' AND o_digest IS NOT NULL AND o_ctime <> o_mtime;
