package cache

// Parse reads an answer of a directory, for fuzzing.
func Parse(body []byte) ([]Entry, int, error) { return parseEntries(body, nil) }
