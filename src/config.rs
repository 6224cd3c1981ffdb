//! What the user asked for: the validated configuration, its TOML form, and secrets.
