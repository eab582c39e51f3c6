package scan

import "time"

// At has a scan believe that it began at a time.
func (o Options) At(began time.Time) Options { o.began = began; return o }

// WhenRead has a scan call a function after each reading of a file, before it looks whether that
// changed meanwhile.
func (o Options) WhenRead(f func(path string)) Options { o.read = f; return o }

// WhenListed has a scan call a function when git's index is read, before what it names is looked
// at.
func (o Options) WhenListed(f func()) Options { o.stray = f; return o }

// ParseIndex and ParseMemory are for the fuzzers.
func ParseIndex(b []byte) (paths []string, err error) {
	list, err := parseIndex(b)
	for _, t := range list {
		paths = append(paths, t.path)
	}
	return paths, err
}

func ParseMemory(b []byte, root string) (paths []string, err error) {
	list, err := parseMemory(b, root)
	for _, k := range list {
		paths = append(paths, k.path)
	}
	return paths, err
}

// GitEnviron is the environment that git gets.
var GitEnviron = gitEnviron

// What the tests outside of the package see of it.
var (
	Open          = openFile
	ParsePatterns = parsePatterns
)

var ErrLimit = errLimit
