"""Where data comes from: files, tables in memory and known names, declared and read."""
