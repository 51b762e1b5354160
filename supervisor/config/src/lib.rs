//! config.yaml: read, layered, checked, resolved, watched
