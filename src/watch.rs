//! Hears of changes: kernel events become hints where to look; nothing here looks.
