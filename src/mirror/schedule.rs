//! Which job may start when: one rule, pure.
