//! What files, standard output and nowhere do with rows.
//!
//! Owns: crash points, foreign folders, full disks.
//! Never: looks into a sink; only at what it leaves behind.
