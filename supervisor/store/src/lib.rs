//! Durable truth: SQLite behind one writer thread
